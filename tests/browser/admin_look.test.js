/** How the admin page looks, in both languages, both themes and both sizes: to axe, and to us in build/e2e/. */
'use strict'

const assert = require('node:assert/strict')
const { after, before, describe, it } = require('node:test')
const { openMadeUpStage } = require('./support/admin_stage.js')
const { AdminState } = require('./support/admin_state.js')
const { axeFaults } = require('./support/axe.js')
const { SIZES, openBrowser, openPage, shoot } = require('./support/browser.js')
const { Operator } = require('./support/operator.js')
const { PATIENCE } = require('./support/phone.js')

const NOW = Math.floor(Date.now() / 1000)

/** Somebody who was banned before and is worth a look, among others. */
function populate(state) {
  const id = state.add({ nickname: 'Lily <b>', phone: '138****0001', devices: ['phone', 'pc'] })
  state.add({ nickname: 'Lily of the valley, thirty-two', phone: null })
  state.add({ nickname: 'Lilo', phone: '139****7788' })
  state.record('login_refused', { appid: 'wx0123456789abcdef', device: 'phone', address: '203.0.113.0', reason: '40029' })
  state.record('replaced', { user: id, handle: 'h0Hd7Hd7Hd7Hd7Hd7Hd7H', appid: 'wx0123456789abcdef', device: 'phone', address: '198.51.100.0' })
  state.record('sessions_ended', { appid: 'wxfedcba9876543210', by: 'ops-bot' })
  state.sessions[1].keyLost = true
  state.sessions[2].state = 'kicked'
  state.users[1].ban = { at: NOW - 600, until: NOW + 86400, reason: 'spam' }
  const said = { zh: 'wx0123456789abcdef (phone)', en: 'Replaced by a newer login from 198.51.100.0/24: there is one session for each mini-program and device class (phone).' }
  state.why = Array.from({ length: 7 }, (_, place) => ({ at: NOW * 1000 - place * 61000, handle: 'h0Hd7Hd7Hd7Hd7Hd7Hd7H', ...said }))
  return id
}

describe('the admin page, looked at', () => {
  let stage, browser

  before(async () => {
    stage = await openMadeUpStage()
    browser = await openBrowser('zh-CN')
  })
  after(async () => {
    await (browser && browser.close())
    await (stage && stage.stop())
  })

  for (const language of ['zh', 'en']) {
    for (const colorScheme of ['light', 'dark']) {
      it(`is well made: ${language}, ${colorScheme}`, async () => {
        const state = Object.assign(stage.state, new AdminState())
        const id = populate(state)
        const { page, faults } = await openPage(browser.context, `${stage.url}/admin`)
        const operator = new Operator(page, stage)
        await page.emulateMedia({ colorScheme })
        await page.locator(`[data-language=${language}]`).click()
        // Colours are the same in both sizes, and what is where in both themes.
        const size = SIZES[colorScheme === 'light' ? 1280 : 390]
        const look = async (name) => {
          await page.setViewportSize(size)
          assert.deepEqual(await axeFaults(page), [], name)
          const words = (await page.locator('body').innerText()).replace('中文', '')
          if (language === 'en') assert.doesNotMatch(words, /[\u4e00-\u9fff]/, name)
          await shoot(page, `admin-${name}-${language}-${colorScheme}`)
        }
        await look('lock')
        await operator.enter()
        await look('overview')
        Object.assign(state, { ill: 'unreachable', illSince: Date.now() - 95000 })
        await page.locator('.standing.bad').waitFor(PATIENCE)
        await look('ill')
        await operator.find('nickname', 'Lily')
        await page.locator('.found table').waitFor(PATIENCE)
        await look('users')
        await page.evaluate((user) => (location.hash = `#/users/${user}`), id)
        await page.locator('.user .acts').waitFor(PATIENCE)
        await look('user')
        for (const act of ['ban', 'delete']) {
          await page.locator(`.user [data-t=${act}]`).click()
          await look(act)
          await page.keyboard.press('Escape')
        }
        await page.locator('.user [data-t=kickAll]').click()
        await operator.agree()
        await operator.notice.waitFor()
        await look('done')
        await operator.go('events')
        await page.locator('.events').waitFor(PATIENCE)
        await look('events')
        await operator.go('sessions')
        await page.locator('.end [type=submit]').click()
        await page.locator('.count').waitFor(PATIENCE)
        await look('sessions')
        await operator.go('settings')
        await page.locator('.settings table').waitFor(PATIENCE)
        await look('settings')
        await page.evaluate(() => localStorage.clear())
        await page.close()
        assert.deepEqual(faults, [])
      })
    }
  }
})
