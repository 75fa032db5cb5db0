/** Find a user by any of the five ways. */

import { ask } from './api.js'
import { el } from './element.js'
import { t } from './language.js'
import { explain } from './notice.js'
import { table } from './table.js'
import { time } from './time.js'
import { standingOf } from './user_account.js'

const WAYS = ['id', 'phone', 'nickname', 'openid', 'unionid']

export class Users {
  constructor() {
    this.by = el('select', { id: 'by', on: { change: () => this.hint() } }, WAYS.map((way) => el('option', { value: way, t: `by_${way}` })))
    this.value = el('input', { id: 'value', type: 'text', autocomplete: 'off', spellcheck: 'false', maxlength: '200', required: true, 'aria-describedby': 'value-hint' })
    this.hinted = el('p', { class: 'soft', id: 'value-hint' })
    this.found = el('div', { class: 'card found', hidden: true })
    this.says = el('p', { class: 'soft', role: 'status' })
    this.more = el('button', { type: 'button', class: 'plain', t: 'more', hidden: true, on: { click: () => this.load() } })
    this.root = el('div', {},
      el('h2', { tabindex: '-1', t: 'users' }),
      el('form', { class: 'card filters', role: 'search', autocomplete: 'off', on: { submit: (event) => this.search(event) } },
        el('div', { class: 'field' }, el('label', { for: 'by', t: 'searchBy' }), this.by),
        el('div', { class: 'field grow' }, el('label', { for: 'value', t: 'searchFor' }), this.value),
        el('button', { type: 'submit', class: 'main', t: 'search' }),
        this.hinted),
      this.says, this.found, this.more)
    this.users = null
  }

  hint() {
    this.hinted.textContent = t(`hint_${this.by.value}`)
  }

  async search(event) {
    event.preventDefault()
    this.asked = { [this.by.value]: this.value.value.trim() }
    Object.assign(this, { users: null, fault: null, next: null })
    await this.load()
    const exactly = !('nickname' in this.asked) && this.users && this.users.length === 1
    if (exactly) location.hash = `#/users/${encodeURIComponent(this.users[0].id)}`
  }

  async load() {
    const { asked } = this
    try {
      const page = await ask('GET', 'users', { query: { ...asked, limit: 50, after: this.next } })
      if (asked !== this.asked) return
      Object.assign(this, { users: [...(this.users || []), ...page.users], next: page.next, fault: null })
    } catch (fault) {
      if (asked !== this.asked || fault.error === 'locked') return
      this.fault = fault
    }
    this.paint()
  }

  paint() {
    this.hint()
    const { users, fault } = this
    this.says.classList.toggle('fault', Boolean(fault))
    this.says.textContent = fault ? explain(fault).join(' ') : users ? (users.length ? t('usersFound', users.length, this.next) : t('nobody')) : ''
    this.more.hidden = !this.next
    this.found.hidden = !(users && users.length)
    this.found.replaceChildren(...(this.found.hidden ? [] : [list(users)]))
  }
}

const list = (users) => table('users', [
  ['nickname', (user) => el('a', { href: `#/users/${encodeURIComponent(user.id)}` }, user.nickname || t('nameless'))],
  ['userId', (user) => el('code', {}, user.id)],
  ['phone', (user) => user.phone || null],
  ['state', (user) => standingOf(user)],
  ['createdAt', (user) => time(user.createdAt * 1000)],
], users)
