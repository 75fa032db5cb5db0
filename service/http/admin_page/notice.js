/** What came of an act, or why it failed: above the view, and read aloud. */

import { el } from './element.js'
import { t } from './language.js'

const place = document.querySelector('.notice')
const text = place.querySelector('.notice-text')
place.querySelector('[data-act=dismiss]').addEventListener('click', quiet)

function show(kind, lines) {
  place.className = `notice ${kind}`
  place.hidden = false
  text.replaceChildren(...lines.map((line) => el('p', {}, line)))
}

export const tell = (...lines) => show('good', lines)

/** An ApiError in words; one that came because the page was locked is none. */
export function tellError(fault) {
  if (fault.error === 'locked' || fault.error === 'operator_token_refused') return
  if (!fault.error) console.error(fault)
  show('bad', explain(fault))
}

export function quiet() {
  place.hidden = true
  text.replaceChildren()
}

/** What an error says: the service's own words, and what helps to find it in the log. */
export function explain(fault) {
  if (!fault.error) return [t('pageFault')]
  const what = fault.isAway ? t(fault.error, fault.status) : fault.message
  const why = fault.data && typeof fault.data.why === 'string' ? fault.data.why : ''
  return [
    why ? `${what}: ${why}` : what,
    fault.retryAfter ? t('waitFor', fault.retryAfter) : '',
    fault.requestId ? `requestId ${fault.requestId}` : '',
  ].filter(Boolean)
}
