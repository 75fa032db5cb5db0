/** A Chromium that goes nowhere but to this machine, and pages in it that are watched. */
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { chromium } = require('playwright-core')
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
const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 390, height: 844 } }
/** What the browser itself says of an answer that is no 2xx; the page has no part in it. */
const REFUSED = /^Failed to load resource: the server responded with a status of (\d+)/

/** A browser with storage of its own. */
async function openBrowser(locale) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'minigate-chromium-'))
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium'
  const options = { executablePath, args: FLAGS, locale, viewport: SIZES.wide, timezoneId: 'Asia/Shanghai' }
  const context = await chromium.launchPersistentContext(profile, options)
  const close = async () => {
    await context.close()
    fs.rmSync(profile, { recursive: true, force: true })
  }
  return { context, close }
}

/** The demo page, and what went wrong on it: `faults` should stay empty, `refused` are statuses. */
async function openPage(context, url) {
  const page = await context.newPage()
  const seen = { page, faults: [], refused: [] }
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return
    const refused = REFUSED.exec(message.text())
    if (refused) seen.refused.push(Number(refused[1]))
    else seen.faults.push(message.text())
  })
  page.on('pageerror', (fault) => seen.faults.push(String(fault)))
  page.on('request', (request) => {
    const { hostname } = new URL(request.url())
    if (!['127.0.0.1', 'localhost'].includes(hostname)) seen.faults.push(`asked ${request.url()}`)
  })
  await page.goto(url)
  return seen
}

/** Both sizes, the whole page, for somebody to look at; fails where something sticks out. */
async function shoot(page, name) {
  fs.mkdirSync(SHOTS, { recursive: true })
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport)
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    if (excess > 0) throw new Error(`${name}: ${excess} px too wide at ${viewport.width} px`)
    await page.screenshot({ path: path.join(SHOTS, `${name}-${size}.png`), fullPage: true })
  }
  await page.setViewportSize(SIZES.wide)
}

module.exports = { SIZES, openBrowser, openPage, shoot }
