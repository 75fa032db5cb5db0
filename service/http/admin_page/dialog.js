/** The second question before anything that cannot be taken back. */

import { el } from './element.js'
import { t } from './language.js'

let number = 0

/**
 * Ask it; resolves to true for yes, false for no, Escape included. The focus goes back to
 * where it was.
 *
 * `lines` say what will happen; `fields` are elements to fill in, where `ready()` tells
 * whether they are; `act` is on the button.
 */
export function confirm({ title, lines, fields = [], ready = () => true, act }) {
  return new Promise((done) => {
    const id = `dialog-${(number += 1)}`
    const yes = el('button', { type: 'submit', class: 'danger' }, act)
    const no = el('button', { type: 'button', class: 'plain', on: { click: () => dialog.close() } }, t('cancel'))
    const look = () => {
      yes.disabled = !ready()
    }
    const agree = (event) => {
      event.preventDefault()
      if (ready()) dialog.close('yes')
    }
    const told = el('div', { id: `${id}-text` }, lines.map((line) => el('p', {}, line)))
    const form = el('form', { autocomplete: 'off', on: { submit: agree, input: look, change: look } },
      el('h2', { id }, title), told, fields, el('div', { class: 'acts' }, no, yes))
    const dialog = el('dialog', { 'aria-labelledby': id, 'aria-describedby': `${id}-text` }, form)
    dialog.addEventListener('close', () => {
      dialog.remove()
      done(dialog.returnValue === 'yes')
    })
    document.body.append(dialog)
    look()
    dialog.showModal()
    if (!fields.length) no.focus()
  })
}

/** A question whose page was locked meanwhile is not asked any more. */
export function closeAll() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close()
}
