/** Which sessions are refused and why: a line and a small curve for each reason. */

import { el, svg } from './element.js'
import { latest, most } from './history.js'
import { t } from './language.js'
import { short, whole } from './number.js'
import { table } from './table.js'

const REASONS = ['refusedReplaced', 'refusedExpired', 'refusedKicked', 'refusedBanned', 'refusedMissing', 'refusedMalformed', 'unavailable']

export function refusals(history) {
  const rows = REASONS.map((reason) => {
    const points = history.rate(reason)
    return { reason, points, count: history.count(reason), now: latest(points, 60000) }
  })
  return table('refusals', [
    ['reason', ({ reason }) => el('span', { class: reason === 'unavailable' ? 'bad' : '' }, t(reason))],
    ['perSecond', ({ now }) => short(now ?? NaN)],
    ['lastHour', ({ count }) => whole(count ?? NaN)],
    ['curve', ({ points }) => curve(points)],
  ], rows, { dense: true })
}

/** Each on a scale of its own: how many they are says the number beside it. */
function curve(points) {
  const top = most(points)
  const drawn = svg('svg', { class: 'curve', viewBox: '0 0 100 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' })
  const x = (place) => ((place / Math.max(points.length - 1, 1)) * 100).toFixed(1)
  const y = (value) => (19 - (18 * (value || 0)) / (top || 1)).toFixed(1)
  drawn.append(svg('path', { class: 'line line-1', d: points.map(({ value }, place) => `${place ? 'L' : 'M'}${x(place)} ${y(value)}`).join('') }))
  return drawn
}
