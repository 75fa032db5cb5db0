/** A small chart: lines over time, the outages as bands behind them. */

import { el, say, svg } from './element.js'
import { latest, most } from './history.js'
import { t } from './language.js'
import { short } from './number.js'
import { clock } from './time.js'

const WIDTH = 600
const HEIGHT = 100
const NOW_MS = 30000

export class Chart {
  /** `lines`: names of their words, the first one drawn strongest. `unit`: the name of its words. */
  constructor({ title, unit, lines }) {
    Object.assign(this, { title, unit, lines, series: [], from: 0, to: 1 })
    this.values = lines.map(() => el('b'))
    const legend = lines.map((line, place) =>
      el('span', { class: `line-${place}` }, el('span', { t: line }), ' ', this.values[place], ' ', el('span', { class: 'unit', t: unit })))
    this.when = el('span', { class: 'when' })
    this.picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' })
    this.picture.addEventListener('pointermove', (event) => this.point(event))
    this.picture.addEventListener('pointerleave', () => this.tell(null))
    this.top = el('span', { class: 'scale-top', 'aria-hidden': 'true' })
    this.ends = [el('span'), el('span')]
    this.root = el('figure', { class: 'chart' },
      el('figcaption', {}, el('h4', { t: title }), el('div', { class: 'legend' }, legend, this.when)),
      el('div', { class: 'plot' }, this.picture, this.top),
      el('div', { class: 'ends', 'aria-hidden': 'true' }, this.ends))
  }

  /** `series`: points of each line. `bands`: [{from, to, what}]. All times in milliseconds. */
  update({ series, from, to, bands }) {
    Object.assign(this, { series, from, to: Math.max(to, from + 1) })
    this.peak = roundUp(Math.max(...series.map(most)))
    const drawn = series.map((points, place) => svg('path', { class: `line line-${place}`, d: this.path(points) }))
    this.cursor = svg('path', { class: 'cursor', d: '' })
    const grid = svg('path', { class: 'grid', d: `M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}` })
    this.picture.replaceChildren(grid, ...bands.map((band) => this.band(band)), ...drawn.reverse(), this.cursor)
    this.picture.setAttribute('aria-label', this.words(bands))
    say(this.top, `${short(this.peak)} ${t(this.unit)}`)
    say(this.ends[0], clock(from))
    say(this.ends[1], clock(to))
    this.tell(null)
  }

  x(at) {
    return Math.min(Math.max((at - this.from) / (this.to - this.from), 0), 1) * WIDTH
  }

  path(points) {
    let pen = 'M'
    let drawn = ''
    for (const { at, value } of points) {
      if (value === null) pen = 'M'
      else {
        // A point by itself has a length, else it could not be seen.
        drawn += `${pen}${this.x(at).toFixed(1)} ${(HEIGHT * (1 - value / this.peak)).toFixed(1)}${pen === 'M' ? 'h.5' : ''}`
        pen = 'L'
      }
    }
    return drawn
  }

  band({ from, to, what }) {
    const x = this.x(from)
    const rect = { class: 'band', x, y: 0, width: Math.max(this.x(to) - x, 3), height: HEIGHT }
    return svg('g', {}, svg('rect', rect), svg('rect', { ...rect, class: 'band-top', height: 4 }), svg('title', {}, what))
  }

  words(bands) {
    const lines = this.series.map((points, place) =>
      t('chartLine', t(this.lines[place]), short(latest(points, NOW_MS) ?? NaN), short(most(points)), t(this.unit)))
    return [t(this.title), ...lines, bands.length ? t('chartOutages', bands.length) : ''].filter(Boolean).join('; ')
  }

  point({ clientX }) {
    const { left, width } = this.picture.getBoundingClientRect()
    this.tell(this.from + ((clientX - left) / width) * (this.to - this.from))
  }

  /** The values at that time; of the last moments for null. */
  tell(at) {
    const value = (points) => (at === null ? latest(points, NOW_MS) : nearest(points, at))
    this.series.forEach((points, place) => say(this.values[place], short(value(points) ?? NaN)))
    say(this.when, at === null ? '' : clock(at))
    this.cursor.setAttribute('d', at === null ? '' : `M${this.x(at)} 0V${HEIGHT}`)
  }
}

function nearest(points, at) {
  const best = points.reduce((one, other) => (one && Math.abs(one.at - at) <= Math.abs(other.at - at) ? one : other), null)
  return best && best.value
}

/** 1, 2 or 5 times a power of ten. */
function roundUp(value) {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= value * 0.999)
}
