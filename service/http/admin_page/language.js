/** The language of the page: what was chosen last, else the browser's. */

import { keep, kept } from './choices.js'
import { names as enNames } from './names_en.js'
import { names as zhNames } from './names_zh.js'
import { en } from './words_en.js'
import { zh } from './words_zh.js'

const words = { zh: { ...zh, ...zhNames }, en: { ...en, ...enNames } }
const listeners = new Set()
let chosen = kept('language', Object.keys(words)) || ((navigator.language || '').toLowerCase().startsWith('zh') ? 'zh' : 'en')

export const language = () => chosen
/** As browsers call it. */
export const locale = () => (chosen === 'zh' ? 'zh-CN' : 'en-GB')

/** The words of that name, with `values` filled in. */
export function t(name, ...values) {
  const found = words[chosen][name]
  return typeof found === 'function' ? found(...values) : found
}

/** The words for one of several, e.g. a state; itself where there are none. */
export function oneOf(group, name) {
  const known = words[chosen][group]
  return Object.hasOwn(known, name) ? known[name] : name
}

/** Returns what ends it. */
export function onLanguage(listener) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function choose(next) {
  chosen = next
  keep('language', next)
  translate(document)
  for (const listener of listeners) listener()
}

/** Fill in what has its words by name only. */
export function translate(root) {
  document.documentElement.lang = locale()
  for (const node of root.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t)
  for (const node of root.querySelectorAll('[data-t-label]')) node.setAttribute('aria-label', t(node.dataset.tLabel))
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === chosen))
  }
}
