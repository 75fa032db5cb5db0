/** A phone of the page, as somebody with a finger uses it. */
'use strict'

const assert = require('node:assert/strict')

const PATIENCE = { timeout: 20000 }

class PhoneOnPage {
  constructor(page, place) {
    this.root = page.locator('.phone').nth(place)
    this.told = this.root.locator('.told')
    this.notice = this.root.locator('.notice')
    this.goods = this.root.locator('.goods li')
  }

  act(name) {
    return this.root.locator(`[data-act=${name}]`).click(PATIENCE)
  }

  async signIn(user) {
    await this.root.locator(`.account input[value=${user}]`).check()
  }

  /** Wait for words on the screen. */
  async says(text, place = this.notice) {
    await place.filter({ hasText: text }).waitFor(PATIENCE)
    const shown = await this.root.innerText()
    assert.doesNotMatch(shown, /[{}]|undefined|null|\bNaN\b/, 'no raw data where words belong')
  }

  /** Wait for words in the list of what the phone did. */
  async notes(text) {
    await this.root.locator('.requests li').filter({ hasText: text }).first().waitFor(PATIENCE)
  }

  async isIn() {
    await this.root.locator('.me').waitFor(PATIENCE)
    return this.root.locator('.name strong').innerText()
  }

  /** [method, path, status] of each request, the oldest first. */
  async requests() {
    const lines = await this.root.locator('.requests li:not(.event)').all()
    const read = (line) => Promise.all(['.method', '.path', '.status'].map((part) => line.locator(part).innerText()))
    return (await Promise.all(lines.map(read))).reverse()
  }
}

module.exports = { PATIENCE, PhoneOnPage }
