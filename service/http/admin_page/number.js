/** Numbers as people read them. */

import { locale } from './language.js'

/** 51,234 */
export const whole = (value) => (Number.isFinite(value) ? value.toLocaleString(locale(), { maximumFractionDigits: 0 }) : '–')

/** Three figures, whatever the size: 1,240  12.4  0.12  0 */
export function short(value) {
  if (!Number.isFinite(value)) return '–'
  const digits = value >= 99.95 || value === 0 ? 0 : value >= 9.995 ? 1 : 2
  return value.toLocaleString(locale(), { maximumFractionDigits: digits })
}
