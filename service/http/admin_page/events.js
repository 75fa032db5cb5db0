/** What happened, filtered by user, event and time. */

import { ask } from './api.js'
import { el } from './element.js'
import { eventList } from './event_list.js'
import { oneOf, t } from './language.js'
import { explain } from './notice.js'
import { ofLocalInput } from './time.js'

const NAMES = [
  'login', 'login_refused', 'shared', 'replaced', 'renewed', 'logout', 'expired', 'kicked', 'banned', 'unbanned',
  'phone_bound', 'account_linked', 'account_deleted', 'sessions_ended', 'access_token_discarded',
]
const MINUTE = 60000
const SINCE = { quarter: 15 * MINUTE, hour: 60 * MINUTE, day: 24 * 60 * MINUTE, all: 0, date: 0 }

export class Events {
  /** `id`: of the user whose events are asked for; none for all. */
  constructor({ id }) {
    this.user = el('input', { id: 'event-user', type: 'text', autocomplete: 'off', spellcheck: 'false', value: id })
    this.event = el('select', { id: 'event-name' }, el('option', { value: '', t: 'anyEvent' }), NAMES.map((name) => el('option', { value: name })))
    this.since = el('select', { id: 'event-since', on: { change: () => this.paint() } }, Object.keys(SINCE).map((name) => el('option', { value: name })))
    this.since.value = 'all'
    this.date = el('input', { id: 'event-date', type: 'datetime-local' })
    this.dateField = el('div', { class: 'field', hidden: true }, el('label', { for: 'event-date', t: 'sinceDate' }), this.date)
    this.says = el('p', { class: 'soft', role: 'status' })
    this.list = el('div', { class: 'card' })
    this.more = el('button', { type: 'button', class: 'plain', t: 'more', hidden: true, on: { click: () => this.load() } })
    const field = (name, words, input) => el('div', { class: 'field' }, el('label', { for: name, t: words }), input)
    this.root = el('div', {},
      el('h2', { tabindex: '-1', t: 'events' }),
      el('form', { class: 'card filters', role: 'search', autocomplete: 'off', on: { submit: (event) => this.search(event) } },
        field('event-name', 'event', this.event), field('event-user', 'userId', this.user),
        field('event-since', 'period', this.since), this.dateField,
        el('button', { type: 'submit', class: 'main', t: 'show' })),
      this.says, this.list, this.more)
    this.search()
  }

  search(event) {
    if (event) event.preventDefault()
    const chosen = this.since.value
    const since = chosen === 'date' ? ofLocalInput(this.date.value) || '' : SINCE[chosen] ? Date.now() - SINCE[chosen] : ''
    this.asked = { user: this.user.value.trim(), event: this.event.value, since }
    Object.assign(this, { events: null, next: null })
    return this.load()
  }

  async load() {
    const { asked } = this
    try {
      const page = await ask('GET', 'events', { query: { ...asked, limit: 100, before: this.next } })
      if (asked !== this.asked) return
      Object.assign(this, { events: [...(this.events || []), ...page.events], next: page.next, fault: null })
    } catch (fault) {
      if (asked !== this.asked) return
      this.fault = fault
    }
    this.paint()
  }

  paint() {
    for (const option of this.event.options) if (option.value) option.textContent = oneOf('eventNames', option.value)
    for (const option of this.since.options) option.textContent = oneOf('periods', option.value)
    this.dateField.hidden = this.since.value !== 'date'
    const { events, fault } = this
    this.says.classList.toggle('fault', Boolean(fault))
    this.says.textContent = fault ? explain(fault).join(' ') : events ? t('eventsFound', events.length, this.next) : t('loading')
    this.more.hidden = !this.next
    this.list.hidden = !events
    this.list.replaceChildren(...(events ? [eventList(events)] : []))
  }
}
