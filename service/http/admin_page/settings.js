/** The settings in effect; of a secret only whether there is one. */

import { ask } from './api.js'
import { el } from './element.js'
import { t } from './language.js'
import { explain } from './notice.js'
import { table } from './table.js'

export class Settings {
  constructor() {
    this.wanted = el('input', { id: 'setting-name', type: 'search', autocomplete: 'off', spellcheck: 'false', on: { input: () => this.paint() } })
    this.changed = el('input', { id: 'setting-changed', type: 'checkbox', on: { change: () => this.paint() } })
    this.says = el('p', { class: 'soft', role: 'status' })
    this.list = el('div', { class: 'card settings' })
    this.root = el('div', {},
      el('h2', { tabindex: '-1', t: 'settings' }),
      el('form', { class: 'card filters', role: 'search', autocomplete: 'off', on: { submit: (event) => event.preventDefault() } },
        el('div', { class: 'field grow' }, el('label', { for: 'setting-name', t: 'settingFilter' }), this.wanted),
        el('div', { class: 'check' }, this.changed, el('label', { for: 'setting-changed', t: 'changedOnly' }))),
      this.says, this.list)
    this.load()
  }

  async load() {
    try {
      this.found = (await ask('GET', 'settings')).settings
    } catch (fault) {
      this.fault = fault
    }
    this.paint()
  }

  paint() {
    const { found, fault } = this
    const wanted = this.wanted.value.trim().toUpperCase()
    const shown = (found || []).filter(({ name, isDefault }) => name.includes(wanted) && !(this.changed.checked && isDefault))
    this.says.classList.toggle('fault', Boolean(fault))
    this.says.textContent = fault ? explain(fault).join(' ') : found ? t('settingsShown', shown.length, found.length) : t('loading')
    this.list.hidden = !shown.length
    this.list.replaceChildren(...(shown.length ? [settingsTable(shown)] : []))
  }
}

const settingsTable = (settings) => table('settings', [
  ['setting', ({ name }) => el('code', {}, name)],
  ['value', (setting) => value(setting)],
  ['origin', ({ isDefault }) => (isDefault ? el('span', { class: 'soft' }, t('isDefault')) : el('b', {}, t('isSet')))],
  ['description', ({ description }) => description || null],
], settings)

function value({ value: text, secret, set }) {
  if (secret) return el('span', { class: 'soft' }, t(set ? 'secretSet' : 'secretUnset'))
  return text === null || text === '' ? el('span', { class: 'soft' }, t('nothing')) : el('code', {}, text)
}
