'use strict'

const assert = require('node:assert/strict')
const { after, afterEach, before, beforeEach, describe, it } = require('node:test')
const { openBrowser, openPage, shoot, SIZES } = require('./support/browser.js')
const { PATIENCE, PhoneOnPage } = require('./support/phone.js')
const { pause, startService } = require('./support/service.js')

const COALESCED_MS = 3100
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='

describe('the demo page', () => {
  let service, browser, seen, page, a, b
  let people = 0

  before(async () => {
    service = await startService()
    browser = await openBrowser('zh-CN')
  })
  after(async () => {
    await (browser && browser.close())
    await (service && service.stop())
  })
  beforeEach(async () => {
    await control('DELETE', '/sim/faults')
    await control('POST', '/sim/redis', { plugged: true })
    seen = await openPage(browser.context, service.url)
    page = seen.page
    a = new PhoneOnPage(page, 0)
    b = new PhoneOnPage(page, 1)
    await a.root.waitFor()
  })
  afterEach(async () => {
    const shown = await page.evaluate(() => document.documentElement.outerHTML)
    await page.evaluate(() => localStorage.clear())
    await page.close()
    assert.deepEqual(seen.faults, [])
    for (const sessionid of seen.sessionids) {
      const [, secret] = sessionid.split('.')
      assert.ok(secret.length > 40)
      assert.deepEqual(seen.urls.filter((url) => url.includes(secret)), [], 'no session id in a URL')
      assert.ok(!shown.includes(secret.slice(0, 12)) && !shown.includes(secret.slice(-12)), 'no session id on the page')
    }
  })

  async function control(method, path, body) {
    const given = { method, body: body && JSON.stringify(body) }
    assert.equal((await fetch(service.simulatorUrl + path, given)).status, 200, path)
  }

  /** Somebody whom the service does not know yet. */
  async function newcomer(...phones) {
    const name = `guest-${(people += 1)}`
    for (const phone of phones) {
      await phone.root.locator('.account input[value=""]').check()
      await phone.root.locator('.typed').fill(name)
      await phone.root.locator('.typed').blur()
    }
    return name
  }

  it('is announced by make run', () => {
    assert.match(service.log.join(''), new RegExp(`browser: +http://127\\.0\\.0\\.1:${service.port}/$`, 'm'))
  })

  it('logs two phones in as two people', async () => {
    await shoot(page, 'idle')
    assert.deepEqual([await a.requests(), await b.requests()], [[], []], 'no login before anybody acts')
    await a.act('login')
    await b.act('login')
    assert.notEqual(await a.isIn(), await b.isIn())
    await a.says('已为您创建账号')
    await a.act('products')
    await a.goods.nth(2).waitFor()
    assert.equal(await a.goods.count(), 3)
    await shoot(page, 'both-logged-in')
    assert.deepEqual(await b.requests(), [
      ['POST', '/sim/login', '200'],
      ['POST', '/login', '200'],
    ])
    assert.deepEqual(seen.refused, [])
    assert.equal(seen.sessionids.size, 1, 'the watch for session ids sees them')
    await page.reload()
    await a.isIn()
    await a.act('logout')
    await a.says('已退出登录')
    await a.act('products')
    await a.says('请先登录')
    await b.isIn()
  })

  it('tells the first phone of the second, and there is no ping-pong', async () => {
    await newcomer(a, b)
    await a.act('login')
    await a.isIn()
    await pause(COALESCED_MS)
    await b.act('login')
    await a.says('您的账号已在其他设备登录', a.told)
    assert.match(await a.root.locator('.told-when').innerText(), /\d\d:\d\d:\d\d/)
    await b.says('欢迎回来')
    await a.notes('会话已被取代')
    await a.notes('客户端事件 replaced')
    assert.equal(await a.notice.innerText(), '')
    await a.root.locator('.standing', { hasText: '被顶下线' }).waitFor()
    await shoot(page, 'first-replaced')
    const sent = [await a.requests(), await b.requests()]
    await pause(2500)
    assert.deepEqual([await a.requests(), await b.requests()], sent, 'nobody fights back')
    await b.act('products')
    await b.goods.first().waitFor()
    await page.reload()
    await a.says('您的账号已在其他设备登录', a.told)
    await b.isIn()
    assert.equal(await a.root.locator('[data-act=products]').isVisible(), false)
    assert.deepEqual(await a.requests(), [], 'stays logged out')
    await pause(COALESCED_MS)
    await a.act('here')
    await a.isIn()
    await b.says('您的账号已在其他设备登录', b.told)
    assert.equal(await a.told.isVisible(), false)
    assert.deepEqual([...new Set(seen.refused)], [401])
  })

  it('has phones that log in at once share a session', async () => {
    await newcomer(a)
    await page.locator('[data-act=together]').click()
    await a.says('共用同一个会话')
    await b.says('共用同一个会话')
    await b.act('products')
    await b.goods.first().waitFor()
    await a.act('products')
    await a.goods.first().waitFor()
    assert.deepEqual(seen.refused, [])
  })

  it('logs in by phone number, or silently when something needs it', async () => {
    await a.signIn('carol')
    await a.act('phone')
    await a.says('138****')
    assert.match(await a.root.locator('.number').innerText(), /138\*{4}\d{4}/)
    assert.deepEqual((await a.requests()).map(([, path]) => path), ['/sim/phone', '/sim/login', '/login/phone'])
    await newcomer(b)
    await b.act('products')
    await b.goods.first().waitFor()
    await b.isIn()
    await b.act('bind')
    await b.says('手机号已绑定')
    assert.match(await b.root.locator('.number').innerText(), /138\*{4}\d{4}/)
    assert.deepEqual(seen.refused, [])
  })

  it('changes nickname and avatar', async () => {
    await newcomer(a)
    await a.act('login')
    await a.isIn()
    await a.act('rename')
    await a.root.locator('[name=nickname]').fill('小明 <b>')
    await a.root.locator('.rename [type=submit]').click()
    await a.says('已保存')
    assert.equal(await a.isIn(), '小明 <b>')
    const image = a.root.locator('.avatar img')
    const before = await image.getAttribute('src')
    const picture = { name: 'me.png', mimeType: 'image/png', buffer: Buffer.from(PNG, 'base64') }
    await a.root.locator('.avatar input').setInputFiles(picture)
    await page.waitForFunction((old) => document.querySelector('.avatar img').getAttribute('src') !== old, before)
    await page.waitForFunction(() => document.querySelector('.avatar img').naturalWidth > 0)
    assert.deepEqual(seen.refused, [])
    await a.root.locator('.avatar input').setInputFiles({ ...picture, buffer: Buffer.from('not a picture') })
    await a.says('这不是可用的图片')
    assert.deepEqual(seen.refused, [400])
  })

  it('has words for a WeChat that is slow, broken or busy', async () => {
    await newcomer(a)
    await b.act('login')
    await b.isIn()
    const turn = async (state, words) => {
      await page.locator(`[name=wechat][value=${state}]`).check()
      await page.locator('.wechat .seen').filter({ hasText: words }).waitFor()
    }
    await turn('slow', '两秒')
    await a.act('login')
    await a.says('还在等')
    await shoot(page, 'wechat-slow')
    await a.isIn()
    assert.deepEqual(seen.refused, [])
    await a.act('logout')
    await turn('broken', '自动重试')
    await a.act('login')
    await a.says('自动重试')
    await a.says('微信服务暂不可用')
    assert.equal((await a.requests()).filter(([, path]) => path === '/login').length, 4)
    await turn('busy', '频繁')
    await a.act('login')
    await a.says('登录过于频繁')
    await a.says('60 秒')
    await b.act('products')
    await b.goods.first().waitFor()
    await page.reload()
    await page.locator('.wechat .seen').filter({ hasText: '频繁' }).waitFor()
    assert.equal(await page.locator('[name=wechat][value=busy]').isChecked(), true)
    await turn('normal', '立刻')
    await a.act('login')
    await a.isIn()
    assert.deepEqual(seen.refused, [502, 502, 502, 429])
  })

  it('keeps everybody logged in while Redis is unplugged', async () => {
    await newcomer(a)
    await a.act('login')
    await a.isIn()
    const plug = page.locator('.redis [role=switch]')
    await plug.click()
    await page.locator('.redis .seen').filter({ hasText: '没有人被登出' }).waitFor()
    await a.act('products')
    await a.says('自动重试')
    await newcomer(b)
    await b.act('login')
    await a.says('会话服务暂不可用')
    await b.says('会话服务暂不可用')
    await a.notes('Redis 没有应答')
    await a.root.locator('.standing', { hasText: '已登录' }).waitFor()
    await shoot(page, 'redis-down')
    assert.equal(await plug.getAttribute('aria-checked'), 'false')
    await plug.click()
    await a.says('您一直保持登录')
    await a.act('products')
    await a.goods.first().waitFor()
    assert.equal((await a.requests()).filter(([, path]) => path === '/login').length, 1, 'the same session')
    await b.act('login')
    await b.isIn()
    assert.deepEqual([...new Set(seen.refused)], [503])
  })

  it('speaks both languages, and remembers which', async () => {
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN')
    await page.locator('[data-language=en]').click()
    await page.getByRole('button', { name: 'Log in with WeChat' }).first().waitFor()
    await newcomer(a, b)
    await a.act('login')
    await a.says('A new account was made for you')
    await pause(COALESCED_MS)
    await b.act('login')
    await a.says('Your account has logged in on another device', a.told)
    await b.act('products')
    await b.goods.first().waitFor()
    await shoot(page, 'english')
    const words = (await page.locator('main').innerText()).replaceAll(/用户\w+/g, '') // their nicknames
    assert.doesNotMatch(words, /[\u4e00-\u9fff]/)
    await page.reload()
    await a.says('another device', a.told)
    await page.locator('[data-language=zh]').click()
    await a.says('您的账号已在其他设备登录', a.told)
  })

  it('can be used by keyboard, and names every control', async () => {
    await a.act('login')
    await a.isIn()
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll('button, input, img')]
        .filter((one) => one.offsetParent && !(one.labels && one.labels.length))
        .filter((one) => !one.textContent.trim() && !one.getAttribute('aria-label') && one.getAttribute('alt') === null)
        .map((one) => one.outerHTML)
    )
    assert.deepEqual(nameless, [])
    await page.locator('.redis [role=switch]').focus()
    await page.keyboard.press('Space')
    await page.locator('.redis [aria-checked=false]').waitFor(PATIENCE)
    await page.keyboard.press('Space')
    await page.locator('.redis [aria-checked=true]').waitFor(PATIENCE)
  })

  it('leads from phone to phone where there is room for one only', async () => {
    await page.setViewportSize(SIZES[390])
    const link = page.locator('.jump [href="#phone-B"]')
    await b.act('login')
    await b.isIn()
    await link.locator('.dot.in').waitFor()
    await page.evaluate(() => scrollTo(0, 0))
    await link.click()
    await page.waitForFunction(() => document.querySelector('#phone-B').getBoundingClientRect().top < 100)
    await page.setViewportSize(SIZES[1280])
    assert.equal(await link.isVisible(), false)
  })

  it('works under the name localhost as well', async () => {
    const other = await openPage(browser.context, `http://localhost:${service.port}/`)
    const phone = new PhoneOnPage(other.page, 0)
    await phone.act('login')
    await phone.isIn()
    await other.page.close()
    assert.deepEqual(other.faults, [])
  })

  it('says so where the simulator cannot be reached', async () => {
    const away = await browser.context.newPage()
    await away.route(`${service.simulatorUrl}/**`, (route) => route.abort())
    await away.setViewportSize(SIZES[390])
    await away.goto(service.url)
    await away.locator('.missing', { hasText: '连不上微信模拟器' }).waitFor()
    assert.equal(await away.locator('.phone').count(), 0)
    await away.close()
  })
})

describe('the demo page of a service with the real WeChat', () => {
  it('says what is missing', async () => {
    const service = await startService({ WECHAT_APPID: 'wx0123456789abcdef', WECHAT_SECRET: 'made-up' })
    const browser = await openBrowser('en-US')
    try {
      const { page, faults } = await openPage(browser.context, service.url)
      await page.locator('.missing', { hasText: 'unset WECHAT_APPID' }).waitFor()
      assert.equal(await page.locator('.phone').count(), 0)
      await shoot(page, 'real-wechat')
      assert.deepEqual(faults, [])
    } finally {
      await browser.close()
      await service.stop()
    }
  })
})
