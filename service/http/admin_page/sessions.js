/** End all sessions that match: counted first, asked twice, and told when it holds. */

import { ask } from './api.js'
import { confirm } from './dialog.js'
import { el } from './element.js'
import { t } from './language.js'
import { explain, quiet, tell, tellError } from './notice.js'
import { whole } from './number.js'
import { ofLocalInput, stamp } from './time.js'

export class Sessions {
  constructor({ feed }) {
    const apps = feed.overview ? feed.overview.liveSessions.map(({ appid }) => appid) : []
    this.app = el('select', { id: 'end-app' }, el('option', { value: '', t: 'allApps' }), apps.map((appid) => el('option', { value: appid }, appid)))
    this.device = el('input', { id: 'end-device', type: 'text', autocomplete: 'off', spellcheck: 'false', maxlength: '64', 'aria-describedby': 'device-hint' })
    this.before = el('input', { id: 'end-before', type: 'datetime-local', 'aria-describedby': 'before-hint' })
    this.says = el('div', { class: 'counted', role: 'status' })
    this.end = el('button', { type: 'button', class: 'danger', t: 'endSessions', hidden: true, on: { click: () => this.endThem() } })
    const field = (words, input, hint) =>
      el('div', { class: 'field' }, el('label', { for: input.id, t: words }), input, hint && el('p', { class: 'soft', id: `${hint}-hint`, t: `${hint}Hint` }))
    this.root = el('div', {},
      el('h2', { tabindex: '-1', t: 'endTitle' }),
      el('p', { class: 'soft lead', t: 'endText' }),
      el('form', { class: 'card end', autocomplete: 'off', on: { submit: (event) => this.count(event), input: () => this.forget() } },
        field('app', this.app), field('device', this.device, 'device'), field('loginsBefore', this.before, 'before'),
        el('button', { type: 'submit', class: 'plain', t: 'count' }),
        this.says, this.end))
  }

  /** Whatever was counted was counted for something else. */
  forget() {
    this.counted = null
    this.fault = null
    this.paint()
  }

  get chosen() {
    const before = ofLocalInput(this.before.value)
    return {
      ...(this.app.value && { appid: this.app.value }),
      ...(this.device.value.trim() && { device: this.device.value.trim() }),
      ...(before && { before }),
    }
  }

  async count(event) {
    event.preventDefault()
    const { appid, device } = this.chosen
    this.forget()
    try {
      this.counted = await ask('GET', 'sessions/count', { query: { appid, device } })
    } catch (fault) {
      this.fault = fault
    }
    this.paint()
  }

  paint() {
    const { counted, fault } = this
    this.end.hidden = !counted
    if (fault) this.says.replaceChildren(el('p', { class: 'fault' }, explain(fault).join(' ')))
    else if (!counted) this.says.replaceChildren()
    else this.says.replaceChildren(
      el('p', { class: 'count' }, t('countedSessions', whole(counted.count))),
      el('p', { class: 'soft' }, t('estimatedBy', counted.how)),
      this.chosen.before ? el('p', { class: 'soft' }, t('countsAllTimes')) : '')
  }

  async endThem() {
    const { chosen } = this
    const lines = [
      chosen.appid ? t('endWhichApp', chosen.appid) : t('endWhichAll'),
      chosen.device ? t('endWhichDevice', chosen.device) : '',
      chosen.before ? t('endWhichBefore', stamp(chosen.before)) : '',
      t('countedSessions', whole(this.counted.count)),
      t('endAfter'),
    ].filter(Boolean)
    if (!(await confirm({ title: t('endQuestion'), lines, act: t('endNow') }))) return
    quiet()
    try {
      const { before, holdsFrom } = await ask('POST', 'sessions/end', { body: chosen })
      this.forget()
      tell(t('ended', stamp(before)), t('holdsFrom', stamp(holdsFrom)))
    } catch (fault) {
      tellError(fault)
    }
  }
}
