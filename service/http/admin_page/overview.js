/** How the service is: live figures, charts of the last hour, what it leans on. */

import { Chart } from './chart.js'
import { el } from './element.js'
import { components, componentName, outages } from './health.js'
import { History, latest } from './history.js'
import { t } from './language.js'
import { short, whole } from './number.js'
import { refusals } from './refusals.js'
import { tableOr } from './table.js'
import { duration, stamp } from './time.js'

const UNKNOWN = { step: 10, columns: ['at'], rows: [] }
const NOW_MS = 30000
const CHARTS = [
  { title: 'checks', unit: 'perSecond', lines: ['passed', 'refused', 'unavailable'], of: (h) => [h.rate('checksOk'), h.rate('checksRefused'), h.rate('unavailable')] },
  { title: 'logins', unit: 'perSecond', lines: ['succeeded', 'refused'], of: (h) => [h.rate('loginsOk'), h.rate('loginsRefused')] },
  ...['wechat', 'redis', 'sql'].map((name) => ({
    title: `${name}Latency`, unit: 'ms', lines: ['mean'], of: (h) => [h.latency(`${name}Seconds`, `${name}Calls`)],
  })),
  { title: 'failedCalls', unit: 'perSecond', lines: ['wechat', 'redis', 'sql'], of: (h) => ['wechatFailures', 'redisFailures', 'sqlFailures'].map((name) => h.rate(name)) },
]

export class Overview {
  constructor({ feed }) {
    this.feed = feed
    this.charts = CHARTS.map((given) => ({ of: given.of, chart: new Chart(given) }))
    this.places = Object.fromEntries(['figures', 'health', 'live', 'outages', 'refusals', 'about'].map((name) => [name, el('div', { class: name })]))
    const { figures, health, live, outages: cuts, refusals: reasons, about } = this.places
    this.root = el('div', { class: 'overview' },
      el('h2', { tabindex: '-1', t: 'overview' }),
      figures,
      el('section', { class: 'card wide' }, el('h3', { t: 'health' }), health),
      el('section', { class: 'card wide' }, el('h3', { t: 'charts' }), el('div', { class: 'charts' }, this.charts.map(({ chart }) => chart.root)),
        el('p', { class: 'band-legend' }, el('i', { 'aria-hidden': 'true' }), el('span', { t: 'bandLegend' }))),
      el('section', { class: 'card' }, el('h3', { t: 'refusals' }), reasons),
      el('div', { class: 'stack' },
        el('section', { class: 'card' }, el('h3', { t: 'outages' }), cuts),
        el('section', { class: 'card' }, el('h3', { t: 'liveSessions' }), live),
        el('section', { class: 'card' }, el('h3', { t: 'about' }), about)))
    this.onChange = () => this.paint()
    feed.addEventListener('change', this.onChange)
    this.paint()
  }

  close() {
    this.feed.removeEventListener('change', this.onChange)
  }

  paint() {
    const { overview } = this.feed
    if (!overview) return
    const history = new History(overview.history || UNKNOWN)
    this.root.classList.toggle('stale', Boolean(this.feed.fault))
    this.places.figures.replaceChildren(figures(history, overview))
    this.places.health.replaceChildren(components(overview))
    this.places.outages.replaceChildren(outages(overview))
    this.places.refusals.replaceChildren(refusals(history))
    this.places.live.replaceChildren(liveSessions(overview))
    this.places.about.replaceChildren(about(overview))
    const from = Math.min(history.from || overview.at, overview.at - 60000)
    const bands = (overview.outages || [])
      .filter(({ until }) => !until || until > from)
      .map(({ what, since, until }) => ({ from: since, to: until || overview.at, what: `${componentName(what)} ${stamp(since)}` }))
    for (const { chart, of } of this.charts) chart.update({ series: of(history), from, to: overview.at, bands })
  }
}

/** What the overview does not tell is not known while something is away. */
const total = ({ liveSessions }) => (liveSessions ? liveSessions.reduce((sum, { count }) => sum + count, 0) : NaN)

function figures(history, overview) {
  const now = (...names) => latest(history.rate(...names), NOW_MS) ?? NaN
  const figure = (name, value, kind = '') => el('div', { class: kind }, el('dt', {}, t(name)), el('dd', {}, value))
  const unavailable = now('unavailable')
  return el('dl', {},
    figure('checksNow', short(now('checksOk', 'checksRefused', 'unavailable'))),
    figure('refusedNow', short(now('checksRefused'))),
    figure('unavailableNow', short(unavailable), unavailable > 0 ? 'alarm' : ''),
    figure('loginsNow', short(now('loginsOk', 'loginsRefused'))),
    figure('liveNow', whole(total(overview))))
}

function liveSessions({ liveSessions: found }) {
  if (!found) return el('p', { class: 'none', t: 'notKnown' })
  return tableOr('noSessions', 'liveSessions', [
    ['app', ({ appid }) => el('code', {}, appid)],
    ['sessionCount', ({ count }) => whole(count)],
  ], found, { dense: true })
}

function about({ service, at }) {
  const { version, environment, workers, startedAt, stopping } = service
  const fact = (name, value) => [el('dt', {}, t(name)), el('dd', {}, value)]
  return el('dl', { class: 'facts' },
    fact('version', String(version)), fact('environment', String(environment)), fact('workers', String(workers)),
    fact('uptime', duration(at - startedAt * 1000)), stopping ? fact('state', t('stopping')) : [])
}
