/** One user: account, sessions, history, and what can be done about them. */

import { ask } from './api.js'
import { el } from './element.js'
import { endings } from './endings.js'
import { eventList } from './event_list.js'
import { t } from './language.js'
import { explain, quiet, tell, tellError } from './notice.js'
import { account, identities, picture, sessions } from './user_account.js'
import { askBan, askDelete, askKick, askUnban } from './user_questions.js'

export class UserPage {
  constructor({ id }) {
    Object.assign(this, { id, found: null, fault: null })
    this.path = `users/${encodeURIComponent(id)}`
    this.name = el('h2', { tabindex: '-1' })
    this.content = el('div', { class: 'user' })
    this.root = el('div', {}, el('p', {}, el('a', { href: '#/users', t: 'backToUsers' })), this.name, this.content)
    this.load()
  }

  async load() {
    try {
      Object.assign(this, { found: await ask('GET', this.path), fault: null })
    } catch (fault) {
      Object.assign(this, { found: null, fault })
    }
    this.paint()
  }

  paint() {
    const { found, fault } = this
    this.name.textContent = found ? found.user.nickname || t('nameless') : this.id
    if (found) this.content.replaceChildren(...this.parts(found))
    else this.content.replaceChildren(el('p', { class: fault ? 'fault' : 'soft', role: 'status' }, fault ? explain(fault).join(' ') : t('loading')))
  }

  parts({ user, identities: known, sessions: open, events, why }) {
    const section = (words, ...parts) => el('section', { class: 'card' }, el('h3', { t: words }), parts)
    const all = el('p', {}, el('a', { href: `#/events/${encodeURIComponent(user.id)}`, t: 'allEvents' }))
    return [
      el('section', { class: 'card' }, el('h3', { t: 'account' }), el('div', { class: 'who' }, picture(user), account(user)), this.acts(user)),
      why && why.length ? section('whyTitle', endings(why)) : null,
      section('sessionsOfUser', sessions(open, (session) => this.kick(session))),
      section('history', eventList(events, { ofUser: true }), all),
      section('identities', identities(known)),
    ].filter(Boolean)
  }

  acts(user) {
    const button = (words, kind, act) => el('button', { type: 'button', class: kind, t: words, on: { click: act } })
    return el('div', { class: 'acts' },
      button('kickAll', 'plain', () => this.kick()),
      user.ban ? button('unban', 'plain', () => this.unban()) : null,
      button(user.ban ? 'banAnew' : 'ban', 'danger outline', () => this.ban()),
      button('delete', 'danger outline', () => this.remove()))
  }

  async kick(session) {
    const which = session ? { appid: session.appid, device: session.device } : {}
    if (!(await askKick(this.found.user, session))) return
    await this.act(async () => t('kicked', (await ask('POST', `${this.path}/kick`, { body: which })).ended))
  }

  async ban() {
    const body = await askBan(this.found.user)
    if (!body) return
    await this.act(async () => t('banned', (await ask('POST', `${this.path}/ban`, { body })).ended))
  }

  async unban() {
    if (!(await askUnban(this.found.user))) return
    await this.act(async () => {
      await ask('POST', `${this.path}/unban`, { body: {} })
      return t('unbanned')
    })
  }

  async remove() {
    const { user } = this.found
    if (!(await askDelete(user))) return
    await this.act(async () => {
      await ask('DELETE', this.path)
      return t('deleted', user.nickname || user.id)
    })
  }

  /** Do it, say what came of it, and show how things stand now. */
  async act(work) {
    quiet()
    try {
      tell(await work())
    } catch (fault) {
      tellError(fault)
      if (fault.error === 'locked' || fault.error === 'operator_token_refused') return
    }
    await this.load()
    // Its button may be gone.
    if (document.activeElement === document.body) this.name.focus({ preventScroll: true })
  }
}
