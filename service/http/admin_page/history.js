/** What happened in the last hour, out of totals that only grow. Points are {at, value}; null is unknown. */

export class History {
  /** `step`: seconds between rows, about; `rows` follow `columns`. */
  constructor({ step, columns, rows }) {
    Object.assign(this, { step, columns, rows })
    this.atColumn = columns.indexOf('at')
  }

  get from() {
    return this.rows.length ? this.rows[0][this.atColumn] : 0
  }

  /** The sum of these columns per second. */
  rate(...names) {
    return this.between((before, after, seconds) => ratio(this.grown(names, before, after), seconds))
  }

  /** Milliseconds that one took, on average; unknown where there were none. */
  latency(seconds, calls) {
    return this.between((before, after) => {
      const count = this.grown([calls], before, after)
      return count ? ratio(this.grown([seconds], before, after) * 1000, count) : null
    })
  }

  /** How many there were in all; null where that is not known. */
  count(...names) {
    if (this.rows.length < 2) return null
    let sum = 0
    this.pairs((before, after) => {
      sum += this.grown(names, before, after) || 0
    })
    return sum
  }

  between(value) {
    const points = []
    this.pairs((before, after) => {
      const seconds = (after[this.atColumn] - before[this.atColumn]) / 1000
      // Where steps are missing nobody counted.
      points.push({ at: after[this.atColumn], value: seconds > 0 && seconds < this.step * 3.5 ? value(before, after, seconds) : null })
    })
    return points
  }

  pairs(visit) {
    for (let place = 1; place < this.rows.length; place += 1) visit(this.rows[place - 1], this.rows[place])
  }

  /** By how much; null where a total has become less: somebody began to count anew. */
  grown(names, before, after) {
    let sum = 0
    for (const name of names) {
      const column = this.columns.indexOf(name)
      const grown = after[column] - before[column]
      if (!(grown >= 0)) return null
      sum += grown
    }
    return sum
  }
}

const ratio = (whole, parts) => (whole === null ? null : whole / parts)

/** The mean of the last `milliseconds` that anything is known of; null without. */
export function latest(points, milliseconds) {
  const end = points.length ? points[points.length - 1].at : 0
  const known = points.filter(({ at, value }) => at > end - milliseconds && value !== null)
  return known.length ? known.reduce((sum, { value }) => sum + value, 0) / known.length : null
}

export const most = (points) => points.reduce((top, { value }) => Math.max(top, value || 0), 0)
