/** The language of the page: what was chosen last, else the browser's. */

import { words } from './words.js'

const KEY = 'minigate-demo/language'
const listeners = []
let chosen = remembered() || ((navigator.language || '').toLowerCase().startsWith('zh') ? 'zh' : 'en')

function remembered() {
  try {
    const kept = localStorage.getItem(KEY)
    return kept in words ? kept : null
  } catch (_) {
    return null
  }
}

export const language = () => chosen

/** The words of that name, with `values` filled in. */
export function t(name, ...values) {
  const found = words[chosen][name]
  return typeof found === 'function' ? found(...values) : found
}

export const timeOf = (date) => date.toLocaleTimeString(chosen === 'zh' ? 'zh-CN' : 'en-GB', { hour12: false })

/** The time of day, with the day unless it is today. */
export function momentOf(date) {
  if (date.toDateString() === new Date().toDateString()) return timeOf(date)
  return `${date.toLocaleDateString(chosen === 'zh' ? 'zh-CN' : 'en-GB')} ${timeOf(date)}`
}

export function onLanguage(listener) {
  listeners.push(listener)
}

export function choose(next) {
  chosen = next
  try {
    localStorage.setItem(KEY, next)
  } catch (_) {
    // Then the choice lasts as long as the page.
  }
  translate(document)
  for (const listener of listeners) listener()
}

/** Fill in what stands in the HTML by name only. */
export function translate(root) {
  document.documentElement.lang = chosen === 'zh' ? 'zh-CN' : 'en'
  for (const node of root.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t)
  for (const node of root.querySelectorAll('[data-t-label]')) node.setAttribute('aria-label', t(node.dataset.tLabel))
  for (const node of root.querySelectorAll('[data-t-placeholder]')) node.placeholder = t(node.dataset.tPlaceholder)
  for (const button of document.querySelectorAll('[data-language]')) {
    button.setAttribute('aria-pressed', String(button.dataset.language === chosen))
  }
}
