/** A running service behind a wire, for the tests of one file. */
'use strict'

const { after, before, beforeEach } = require('node:test')

const { startService } = require('./service.js')
const { startWire } = require('./wire.js')

const PRODUCTS = { url: '/wx/products/list' }

/** Without coalescing, so that a login too many shows at once. */
function stage(variables, { prepare } = {}) {
  const set = {}
  before(async () => {
    const more = prepare ? await prepare(set) : {}
    set.service = await startService(Object.assign({ LOGIN_COALESCE_MS: '0' }, variables, more))
    set.simulator = set.service.simulator
    set.wire = await startWire(set.service.url)
  })
  beforeEach(async () => {
    set.wire.forget()
    set.wire.heal()
    await set.simulator.heal()
  })
  after(async () => {
    if (set.wire) await set.wire.stop()
    if (set.service) await set.service.stop()
  })
  return set
}

/** What became of each promise: its status code, or the name of its error. */
async function outcomes(promises) {
  const settled = await Promise.allSettled(promises)
  return settled.map(({ value, reason }) => (value ? value.statusCode : reason.error || String(reason)))
}

const times = (count, make) => Array.from({ length: count }, make)

/** End a session behind the client's back. */
const endSession = (set, id) => fetch(set.service.url + '/logout', { method: 'POST', headers: { sessionid: id } })

module.exports = { PRODUCTS, endSession, outcomes, stage, times }
