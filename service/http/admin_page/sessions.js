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
    this.apps = ((feed.overview && feed.overview.liveSessions) || []).map(({ appid }) => appid)
    this.app = this.apps.length ? this.choice() : el('input', { id: 'end-app', type: 'text', autocomplete: 'off', spellcheck: 'false', maxlength: '64', 'aria-describedby': 'apps-hint' })
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
        field('app', this.app, this.apps.length ? '' : 'apps'), field('device', this.device, 'device'), field('loginsBefore', this.before, 'before'),
        el('button', { type: 'submit', class: 'plain', t: 'count' }),
        this.says, this.end))
  }

  choice() {
    return el('select', { id: 'end-app' }, el('option', { value: '', t: 'allApps' }), this.apps.map((appid) => el('option', { value: appid }, appid)))
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
      ...(this.app.value.trim() && { appid: this.app.value.trim() }),
      ...(this.device.value.trim() && { device: this.device.value.trim() }),
      ...(before && { before }),
    }
  }

  async count(event) {
    event.preventDefault()
    const { appid, device } = this.chosen
    this.forget()
    try {
      const counts = await Promise.all((appid ? [appid] : this.apps).map((one) => ask('GET', 'sessions/count', { query: { appid: one, device } })))
      this.counted = counts.length ? { count: counts.reduce((sum, { count }) => sum + count, 0), how: counts[0].how } : { count: null }
    } catch (fault) {
      if (fault.error === 'locked') return
      this.fault = fault
      // What is away may be why they have to be ended; what was not understood has to be mended first.
      this.counted = fault.status === 400 ? null : { count: null }
    }
    this.paint()
  }

  /** How many, as far as that is known. */
  get told() {
    return this.counted.count === null ? t('notCounted') : t('countedSessions', whole(this.counted.count))
  }

  paint() {
    const { counted, fault } = this
    this.end.hidden = !counted
    this.says.replaceChildren(...[
      fault && el('p', { class: 'fault' }, explain(fault).join(' ')),
      counted && el('p', { class: 'count' }, this.told),
      counted && counted.how && el('p', { class: 'soft' }, t('estimatedBy', counted.how)),
      counted && this.chosen.before && el('p', { class: 'soft' }, t('countsAllTimes')),
    ].filter(Boolean))
  }

  async endThem() {
    const { chosen } = this
    const lines = [
      chosen.appid ? t('endWhichApp', chosen.appid) : t('endWhichAll'),
      chosen.device ? t('endWhichDevice', chosen.device) : '',
      chosen.before ? t('endWhichBefore', stamp(chosen.before)) : '',
      this.told,
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
