/** Dark or light: what was chosen last, else what the system has. */

import { keep, kept } from './choices.js'
import { onLanguage, t } from './language.js'

const dark = matchMedia('(prefers-color-scheme: dark)')
let chosen = kept('theme', ['dark', 'light'])

const current = () => chosen || (dark.matches ? 'dark' : 'light')

/** `button` turns to the other one. */
export function startTheme(button) {
  const show = () => {
    if (chosen) document.documentElement.dataset.theme = chosen
    button.textContent = t(current() === 'dark' ? 'toLight' : 'toDark')
  }
  button.addEventListener('click', () => {
    chosen = current() === 'dark' ? 'light' : 'dark'
    keep('theme', chosen)
    show()
  })
  dark.addEventListener('change', show)
  onLanguage(show)
  show()
}
