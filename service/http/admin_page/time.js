/** Points and lengths of time in words, in the time zone of whoever reads them. */

import { el } from './element.js'
import { locale, t } from './language.js'

const two = (number) => String(number).padStart(2, '0')

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone

/** 10:03:05 */
export const clock = (ms) => {
  const at = new Date(ms)
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')
}

/** 11-27 10:03:05, with the year unless it is this one. */
export function stamp(ms) {
  const at = new Date(ms)
  const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`
  const year = at.getFullYear() === new Date().getFullYear() ? '' : `${at.getFullYear()}-`
  return `${year}${day} ${clock(ms)}`
}

export function time(ms) {
  if (!Number.isFinite(ms)) return el('span', {}, '–')
  const at = new Date(ms)
  return el('time', { datetime: at.toISOString(), title: at.toLocaleString(locale()) }, stamp(ms))
}

/** The two largest units of a length. */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000))
  const parts = [
    [Math.floor(seconds / 86400), 'day'],
    [Math.floor(seconds / 3600) % 24, 'hour'],
    [Math.floor(seconds / 60) % 60, 'minute'],
    [seconds % 60, 'second'],
  ]
  const first = parts.findIndex(([count]) => count > 0)
  const told = first < 0 ? [parts[3]] : parts.slice(first, first + 2).filter(([count]) => count > 0)
  return told.map(([count, unit]) => `${count} ${t('units')[unit]}`).join(' ')
}

/** What <input type=datetime-local> has to hold for it, and back; NaN for nothing. */
export const toLocalInput = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 16)
export const ofLocalInput = (text) => (text ? new Date(text).getTime() : NaN)
