/** Pictures of the admin page for somebody to look at: build/admin/. node tests/browser/admin_pictures.js */
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { SIZES, openBrowser } = require('./support/browser.js')
const { startFakeAdmin } = require('./support/fake_admin.js')
const { ROOT, startService } = require('./support/service.js')

const PICTURES = path.join(ROOT, 'build/admin')
const TOKEN = 'c3f1a90b7d52e8466f0a1b9c8d7e2354'

function people(state) {
  const lily = state.add({ nickname: '小明 <b>', phone: '138****0001', devices: ['phone', 'pc'] })
  state.add({ nickname: '阿强', phone: '139****7788' })
  state.add({ nickname: 'Lily 🌸', phone: null })
  state.record('replaced', { user: lily, handle: 'h0Hd7Hd7Hd7Hd7Hd7Hd7H', appid: 'wx0123456789abcdef', device: 'phone', address: '198.51.100.0' })
  state.record('login_refused', { appid: 'wx0123456789abcdef', device: 'phone', address: '203.0.113.0', reason: '40029' })
  state.record('sessions_ended', { appid: 'wxfedcba9876543210', by: 'ops-bot' })
  state.sessions[1].keyLost = true
  state.sessions[2].state = 'kicked'
  state.users[1].ban = { at: Math.floor(Date.now() / 1000) - 600, until: Math.floor(Date.now() / 1000) + 86400, reason: '刷单' }
  state.why = ['10:03:05 被更新的登录顶下线：wx0123456789abcdef，phone，来自 198.51.100.0。']
  return state.users
}

async function main() {
  fs.rmSync(PICTURES, { recursive: true, force: true })
  fs.mkdirSync(PICTURES, { recursive: true })
  const service = await startService({ ADMIN_TOKENS: `alice:${TOKEN}` })
  for (const language of ['zh-CN', 'en-US']) {
    const stage = await startFakeAdmin({ pages: service.url, token: TOKEN })
    const users = people(stage.state)
    const browser = await openBrowser(language)
    for (const colorScheme of ['light', 'dark']) {
      for (const [size, viewport] of Object.entries(SIZES)) {
        const page = await browser.context.newPage()
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize(viewport)
        const take = (name, fullPage = true) => page.screenshot({ path: path.join(PICTURES, `${name}-${language.slice(0, 2)}-${colorScheme}-${size}.png`), fullPage })
        await pictures(page, stage, users, take)
        await page.close()
      }
    }
    await browser.close()
    await stage.stop()
  }
  await service.stop()
}

async function pictures(page, stage, users, take) {
  Object.assign(stage.state, { ill: '', away: false })
  await page.goto(`${stage.url}/admin`)
  await take('lock')
  await page.locator('#secret').fill(stage.token)
  await page.locator('.lock .main').click()
  await page.locator('.overview').waitFor()
  await take('overview')
  Object.assign(stage.state, { ill: 'unreachable', illSince: Date.now() - 95000 })
  await page.locator('nav a').nth(1).click()
  await page.locator('#by').selectOption('nickname')
  await page.locator('.standing.bad').waitFor()
  stage.state.away = true
  await page.locator('[data-act=retry]').waitFor()
  await page.locator('nav a').nth(0).click()
  await take('away')
  Object.assign(stage.state, { ill: '', away: false })
  await page.locator('[data-act=retry]').click()
  await page.locator('.standing.good').waitFor()
  await page.locator('nav a').nth(1).click()
  await page.locator('#by').selectOption('phone')
  users.forEach((user) => Object.assign(user, { number: '13800000001' }))
  await page.locator('#value').fill('13800000001')
  await page.locator('.filters .main').click()
  await page.locator('.found table').waitFor()
  await take('users')
  await page.locator('.found a').first().click()
  await page.locator('.user .acts').waitFor()
  await take('user')
  await page.locator('.user [data-t=ban]').click()
  await take('ban', false)
  await page.keyboard.press('Escape')
  await page.locator('nav a').nth(2).click()
  await page.locator('.events').waitFor()
  await take('events')
  await page.locator('nav a').nth(3).click()
  await page.locator('.end [type=submit]').click()
  await page.locator('.count').waitFor()
  await take('sessions')
  await page.locator('.end .danger').click()
  await take('end', false)
  await page.keyboard.press('Escape')
  await page.locator('nav a').nth(4).click()
  await page.locator('.settings table').waitFor()
  await take('settings')
}

main()
