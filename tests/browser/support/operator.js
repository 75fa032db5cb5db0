/** The admin page, as somebody who operates the service uses it. */
'use strict'

const assert = require('node:assert/strict')
const { PATIENCE } = require('./phone.js')

const VIEWS = ['overview', 'users', 'events', 'sessions', 'settings']

class Operator {
  constructor(page, stage) {
    Object.assign(this, { page, stage })
    this.view = page.locator('.view')
    this.dialog = page.locator('dialog')
    this.standing = page.locator('.standing')
    this.notice = page.locator('.notice')
  }

  async unlock(token = this.stage.token) {
    await this.page.locator('#secret').fill(token)
    await this.page.locator('.lock [type=submit]').click()
  }

  async enter() {
    await this.unlock()
    await this.page.locator('.overview').waitFor(PATIENCE)
  }

  async go(view) {
    await this.page.locator('nav a').nth(VIEWS.indexOf(view)).click()
  }

  async find(by, value) {
    await this.go('users')
    await this.page.locator('#by').selectOption(by)
    await this.page.locator('#value').fill(value)
    await this.page.locator('.filters [type=submit]').click()
  }

  /** The page of a user, found by id. */
  async see(person) {
    await this.find('id', person.id)
    await this.page.locator('.user .acts').waitFor(PATIENCE)
  }

  press(words) {
    return this.view.getByRole('button', { name: words, exact: true }).first().click(PATIENCE)
  }

  /** Say yes to the second question. */
  async agree() {
    await this.dialog.locator('[type=submit]').click(PATIENCE)
    await this.dialog.waitFor({ state: 'detached' })
  }

  /** Wait for words. */
  async reads(text, place = this.view) {
    await place.filter({ hasText: text }).first().waitFor(PATIENCE)
    const shown = await this.page.locator('main').innerText()
    assert.doesNotMatch(shown, /undefined|\[object|\bnull\b|\bNaN\b|Invalid Date/, 'no raw data where words belong')
  }

  /** Read the events anew until they say it: they are written a moment after they happen. */
  async findsEvent(text, { user = '', event = '' } = {}) {
    await this.go('events')
    await this.page.locator('#event-user').fill(user)
    await this.page.locator('#event-name').selectOption(event)
    const giveUp = Date.now() + PATIENCE.timeout
    while (Date.now() < giveUp) {
      await this.page.locator('.filters [type=submit]').click()
      const found = this.page.locator('.events li').filter({ hasText: text }).first()
      if (await found.waitFor({ timeout: 1000 }).then(() => true, () => false)) return found
    }
    throw new Error(`no event says ${text}`)
  }
}

module.exports = { Operator }
