/** The list of the requests that a phone made, the newest first. */

import { t } from './language.js'

const MOST = 40
/** An id: shown are its beginning, which is the user's own, and the end of its secret. */
const short = (id) => `${id.slice(0, 4)}…${id.slice(-4)}`

export class Requests {
  constructor(section, origin) {
    this.list = section.querySelector('ol')
    this.none = section.querySelector('.none')
    this.origin = origin
    this.entries = []
    this.paint()
  }

  /** Begin an entry; what it returns ends it. */
  add({ method, url, sessionid }) {
    const began = performance.now()
    const at = new URL(url)
    const entry = { method, path: at.pathname, ours: at.origin === this.origin, sessionid, status: null }
    this.entries = [entry, ...this.entries].slice(0, MOST)
    this.paint()
    return (status, text) => {
      entry.status = status
      entry.ms = Math.round(performance.now() - began)
      Object.assign(entry, told(text))
      this.paint()
    }
  }

  paint() {
    this.none.hidden = this.entries.length > 0
    this.list.hidden = !this.entries.length
    this.list.replaceChildren(...this.entries.map(line))
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

function line(entry) {
  const item = document.createElement('li')
  const status = entry.status === null ? '…' : entry.status || t('noAnswer')
  const kind = entry.status === null ? 'open' : entry.status >= 200 && entry.status < 400 ? 'good' : 'bad'
  const path = entry.path.replace(/[^/]{24,}/g, short)
  item.append(part('method', entry.method), part('path', path), part(`status ${kind}`, status))
  item.append(part('ms', entry.status === null ? '' : `${entry.ms} ms`))
  const notes = [
    entry.ours ? '' : t('toWeChat'),
    entry.error || '',
    entry.sessionid ? `sessionid ${short(entry.sessionid)}` : '',
    entry.gained ? `→ sessionid ${short(entry.gained)}` : '',
  ]
  const note = notes.filter(Boolean).join(' · ')
  if (note) item.append(part('note', note))
  return item
}

function part(name, text) {
  const span = document.createElement('span')
  span.className = name
  span.textContent = String(text)
  return span
}
