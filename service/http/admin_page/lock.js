/** The form that asks for the operator's secret. */

import { ask, forget, use } from './api.js'
import { el, say } from './element.js'
import { explain } from './notice.js'

export class Lock {
  /** `onOpen` is handed the first overview. */
  constructor({ onOpen }) {
    this.onOpen = onOpen
    // Not autocomplete=current-password: nobody's browser is to keep it.
    this.secret = el('input', { type: 'password', id: 'secret', autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'lock-says secret-hint' })
    this.button = el('button', { type: 'submit', class: 'main', t: 'unlock' })
    this.says = el('p', { id: 'lock-says', class: 'fault', role: 'alert' })
    this.root = el('form', { class: 'card lock', autocomplete: 'off', method: 'post', on: { submit: (event) => this.submit(event) } },
      el('h2', { tabindex: '-1', t: 'lockTitle' }),
      el('p', { class: 'soft', t: 'lockHint' }),
      el('label', { for: 'secret', t: 'secret' }), this.secret,
      el('p', { class: 'soft', id: 'secret-hint', t: 'secretHint' }),
      this.says, this.button)
  }

  /** `fault`: why it is asked again. */
  show(fault) {
    this.secret.value = ''
    this.fault = fault
    this.paint()
    this.secret.focus()
  }

  paint() {
    say(this.says, this.fault ? explain(this.fault).join(' ') : '')
  }

  async submit(event) {
    event.preventDefault()
    const given = this.secret.value.trim()
    if (!given || this.button.disabled) return
    this.button.disabled = true
    use(given)
    try {
      const overview = await ask('GET', 'overview')
      this.secret.value = ''
      this.onOpen(overview)
    } catch (fault) {
      forget()
      this.show(fault)
    } finally {
      this.button.disabled = false
    }
  }
}
