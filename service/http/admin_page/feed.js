/** The overview, asked for again and again: slower while nobody answers, not at all while nobody looks. */

import { ApiError, ask } from './api.js'

const EVERY_MS = 5000
const SLOWEST_MS = 60000

/** Raises `change` with each answer and each failure. */
export class Feed extends EventTarget {
  constructor() {
    super()
    document.addEventListener('visibilitychange', () => this.look())
    this.stop()
  }

  start(overview) {
    this.stop()
    this.running = true
    this.came(overview)
    this.plan(EVERY_MS)
  }

  stop() {
    clearTimeout(this.timer)
    // What is under way is then of a former life.
    Object.assign(this, { running: false, life: {}, asking: false, overview: null, fault: null, answeredAt: 0, wait: EVERY_MS })
  }

  /** Ask now. */
  async look() {
    clearTimeout(this.timer)
    if (!this.running || this.asking || document.hidden) return
    const life = this.life
    this.asking = true
    const fault = await ask('GET', 'overview').then(
      (overview) => {
        if (life === this.life) this.came(overview)
      },
      (raised) => raised
    )
    if (life !== this.life) return
    this.asking = false
    if (fault) this.failed(fault)
    this.plan(this.wait)
    this.dispatchEvent(new Event('change'))
  }

  came(overview) {
    Object.assign(this, { overview, fault: null, answeredAt: Date.now(), wait: EVERY_MS })
  }

  failed(fault) {
    this.fault = fault instanceof ApiError ? fault : new ApiError({ error: 'not_ours' })
    this.wait = Math.max(Math.min(this.wait * 2, SLOWEST_MS), this.fault.retryAfter * 1000)
  }

  plan(wait) {
    clearTimeout(this.timer)
    if (!document.hidden) this.timer = setTimeout(() => this.look(), wait)
  }
}
