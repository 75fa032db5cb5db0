/** The panel: WeChat and Redis made to fail, by the simulator. */

import { onLanguage, t } from './language.js'

const EXCHANGE = '/sns/jscode2session'
const FAULTS = {
  slow: { kind: 'latency', median_ms: 2300, tail_ms: 2500 }, // the service waits three seconds
  broken: { kind: 'html_502' },
  busy: { kind: 'errcode', errcode: 45011, endpoint: EXCHANGE },
}
const SEEN = { normal: 'seenNormal', slow: 'seenSlow', broken: 'seenBroken', busy: 'seenBusy' }

export class Switches {
  /** `onPlugged` hears when Redis is back, `onShown` whether anything is made to fail. */
  constructor(root, { simulator, onPlugged, onShown }) {
    Object.assign(this, { root, simulator, onPlugged, onShown })
    this.find = (selector) => root.querySelector(selector)
    this.state = { wechat: 'normal', plugged: true, failed: false } // `plugged` is null without a plug
    for (const radio of root.querySelectorAll('[name=wechat]')) {
      radio.addEventListener('change', () => this.turnWeChat(radio.value))
    }
    this.find('[role=switch]').addEventListener('click', () => this.turnRedis(!this.state.plugged))
    onLanguage(() => this.show())
    this.show()
  }

  /** Show how things stand, which another page may have changed. */
  async read() {
    await this.trying(async () => {
      const { active } = (await this.simulator.ask('GET', '/sim/faults')).body
      const kinds = active.map((fault) => fault.kind)
      const found = Object.keys(FAULTS).find((name) => kinds.includes(FAULTS[name].kind))
      const redis = await this.simulator.ask('GET', '/sim/redis')
      return { wechat: found || 'normal', plugged: redis.status === 200 ? redis.body.plugged : null }
    })
  }

  turnWeChat(wechat) {
    return this.trying(async () => {
      await this.simulator.ask('DELETE', '/sim/faults')
      if (FAULTS[wechat]) await this.simulator.ask('POST', '/sim/faults', FAULTS[wechat])
      return { wechat }
    })
  }

  async turnRedis(plugged) {
    await this.trying(async () => {
      const { status } = await this.simulator.ask('POST', '/sim/redis', { plugged })
      return { plugged: status === 200 ? plugged : null }
    })
    if (this.state.plugged === true) this.onPlugged()
  }

  async trying(work) {
    try {
      Object.assign(this.state, { failed: false }, await work())
    } catch (_) {
      this.state.failed = true
    }
    this.show()
  }

  show() {
    const { wechat, plugged, failed } = this.state
    this.find(`[name=wechat][value=${wechat}]`).checked = true
    this.find('.wechat .seen').textContent = t(SEEN[wechat])
    const button = this.find('[role=switch]')
    button.setAttribute('aria-checked', String(plugged !== false))
    button.disabled = plugged === null
    this.find('.state').textContent = t(plugged === false ? 'unplugged' : 'plugged')
    const seen = plugged === null ? 'noPlug' : plugged ? 'seenPlugged' : 'seenUnplugged'
    this.find('.redis .seen').textContent = t(seen)
    this.find('.panel-fault').hidden = !failed
    this.find('.panel-fault').textContent = failed ? t('controlFailed') : ''
    this.onShown(wechat !== 'normal' || plugged === false)
  }
}
