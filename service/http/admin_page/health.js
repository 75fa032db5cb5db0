/** What the service leans on: how it is, why, for how long. */

import { el } from './element.js'
import { oneOf, t } from './language.js'
import { whole } from './number.js'
import { tableOr } from './table.js'
import { duration, time } from './time.js'

export const stateClass = { ready: 'good', degraded: 'warn', down: 'bad' }
const MARKS = { ready: '✓', degraded: '!', down: '✕' }

export const componentName = (name) => oneOf('components', name)

/** A state in words, with a sign that does not need colour. */
export function state(name) {
  return el('span', { class: `state ${stateClass[name] || ''}` }, el('i', { 'aria-hidden': 'true' }, MARKS[name] || '·'), oneOf('states', name))
}

/** The worst first. */
export function components(overview) {
  const order = ['down', 'degraded', 'ready']
  const rows = [...overview.components].sort((one, other) => order.indexOf(one.state) - order.indexOf(other.state))
  return tableOr('noComponents', 'health', [
    ['component', ({ component }) => componentName(component)],
    ['state', (row) => state(row.state)],
    ['why', ({ reason }) => (reason ? oneOf('reasons', reason) : null)],
    ['since', ({ since }) => (since ? lasting(since, overview.at) : null)],
    ['checkedAt', ({ checkedAt }) => (checkedAt ? t('ago', duration(overview.at - checkedAt)) : null)],
  ], rows)
}

function lasting(since, now) {
  return el('span', {}, time(since), el('span', { class: 'soft' }, ` ${t('lasting', duration(now - since))}`))
}

/** The newest first. */
export function outages(overview) {
  if (!overview.outages) return el('p', { class: 'none', t: 'notKnown' })
  const rows = [...overview.outages].sort((one, other) => other.since - one.since)
  return tableOr('noOutages', 'outages', [
    ['what', ({ what }) => componentName(what)],
    ['begin', ({ since }) => time(since)],
    ['length', ({ since, until }) =>
      until ? duration(until - since) : el('span', { class: 'bad' }, t('goesOn', duration(overview.at - since)))],
    ['why', ({ why }) => (why ? oneOf('reasons', why) : null)],
    ['failures', ({ failures }) => (failures ? whole(failures) : null)],
  ], rows)
}
