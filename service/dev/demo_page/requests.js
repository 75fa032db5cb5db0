/** The list of what a phone did, the newest first: its requests, and what its client told it. */

import { asked, carried, gained, happened, outcome } from './narration.js'

const MOST = 40
/** An id: shown are its beginning, which is the user's own, and the end of its secret. */
const short = (id) => `${id.slice(0, 4)}…${id.slice(-4)}`

const took = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`)

export class Requests {
  constructor(section) {
    this.list = section.querySelector('ol')
    this.none = section.querySelector('.none')
    this.entries = []
    this.paint()
  }

  /** Begin an entry; what it returns ends it. */
  add({ method, url, sessionid }) {
    const began = performance.now()
    const entry = { method, path: new URL(url).pathname, sessionid, status: null }
    this.put(entry)
    return (status, text) => {
      Object.assign(entry, { status, ms: Math.round(performance.now() - began) }, told(text))
      this.paint()
    }
  }

  /** Note that the client raised this event. */
  note(event) {
    this.put({ event })
  }

  put(entry) {
    this.entries = [entry, ...this.entries].slice(0, MOST)
    this.paint()
  }

  paint() {
    this.none.hidden = this.entries.length > 0
    this.list.hidden = !this.entries.length
    this.list.replaceChildren(...this.entries.map((entry) => (entry.event ? eventLine(entry) : line(entry))))
  }
}

/** What is worth a word of an answer: the name of an error, or the id that it brought. */
function told(text) {
  try {
    const body = JSON.parse(text)
    return { error: body.error, gained: body.data && body.data.sessionid }
  } catch (_) {
    return {}
  }
}

function eventLine({ event }) {
  return item('event', part('asked', happened(event)))
}

function line(entry) {
  const open = entry.status === null
  const kind = open ? 'open' : entry.status >= 200 && entry.status < 400 ? 'good' : 'bad'
  const wire = part('wire', '')
  const call = part('call', '')
  call.append(part('method', entry.method), ' ', part('path', entry.path.replace(/[^/]{24,}/g, short)))
  wire.append(call)
  if (!open) wire.append(part('status', entry.status || '–'), part('took', took(entry.ms)))
  const id = entry.gained || entry.sessionid
  if (id) wire.append(part('id', `${entry.gained ? gained() : carried()} ${short(id)}`))
  return item(kind, part('asked', asked(entry)), part('outcome', outcome(entry)), wire)
}

function item(kind, ...parts) {
  const made = document.createElement('li')
  made.className = kind
  made.append(...parts)
  return made
}

function part(name, text) {
  const span = document.createElement('span')
  span.className = name
  span.textContent = String(text)
  return span
}
