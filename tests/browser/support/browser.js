/** A Chromium that goes nowhere but to this machine, and pages in it that are watched. */
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { chromium } = require('playwright-core')
const { lookFaults } = require('./look.js')
const { ROOT } = require('./service.js')

const SHOTS = path.join(ROOT, 'build/e2e')
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // No name but loopback's leads anywhere.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
]
const SIZES = { 1280: { width: 1280, height: 900 }, 390: { width: 390, height: 844 } }
/** What the browser itself says of an answer that is no 2xx; the page has no part in it. */
const REFUSED = /^Failed to load resource: the server responded with a status of (\d+)/

/** A browser with storage of its own. */
async function openBrowser(locale) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'minigate-chromium-'))
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium'
  const options = { executablePath, args: FLAGS, locale, viewport: SIZES[1280], timezoneId: 'Asia/Shanghai' }
  const context = await chromium.launchPersistentContext(profile, options)
  const close = async () => {
    await context.close()
    fs.rmSync(profile, { recursive: true, force: true })
  }
  return { context, close }
}

/**
 * The demo page, and what went wrong on it: `faults` should stay empty, `refused` are statuses.
 * `urls` is where it went, `sessionids` what it was given there.
 */
async function openPage(context, url) {
  const page = await context.newPage()
  const seen = { page, faults: [], refused: [], urls: [], sessionids: new Set() }
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return
    const refused = REFUSED.exec(message.text())
    if (refused) seen.refused.push(Number(refused[1]))
    else seen.faults.push(message.text())
  })
  page.on('pageerror', (fault) => seen.faults.push(String(fault)))
  page.on('request', (request) => {
    seen.urls.push(request.url())
    const { sessionid } = request.headers()
    if (sessionid) seen.sessionids.add(sessionid)
    const { hostname } = new URL(request.url())
    if (!['127.0.0.1', 'localhost'].includes(hostname)) seen.faults.push(`asked ${request.url()}`)
  })
  await page.goto(url)
  return seen
}

/** Both sizes, the whole page, for somebody to look at; fails where something sticks out or is hard to read. */
async function shoot(page, name) {
  fs.mkdirSync(SHOTS, { recursive: true })
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport)
    assert.deepEqual(await page.evaluate(lookFaults), [], `${name} at ${size} px`)
    await page.screenshot({ path: path.join(SHOTS, `${name}-${size}.png`), fullPage: true })
  }
  await page.setViewportSize(SIZES[1280])
}

module.exports = { SIZES, openBrowser, openPage, shoot }
