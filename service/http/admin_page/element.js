/** Elements, made by name. What is put into them is text, never HTML: nicknames come from strangers. */

import { t } from './language.js'

const SVG = 'http://www.w3.org/2000/svg'

/**
 * `given`: attributes, where `false` and null are none; `t` and `tLabel` are words by their
 * name, which follow the language; `on` has listeners.
 */
export function el(name, given = {}, ...children) {
  return fill(document.createElement(name), given, children)
}

export function svg(name, given = {}, ...children) {
  return fill(document.createElementNS(SVG, name), given, children)
}

function fill(made, { on = {}, t: words, tLabel, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? '' : value)
  }
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener)
  if (words) {
    made.dataset.t = words
    made.textContent = t(words)
  }
  if (tLabel) {
    made.dataset.tLabel = tLabel
    made.setAttribute('aria-label', t(tLabel))
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false))
  return made
}

/** Change the text only where it differs: a live region speaks of every change. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text
}
