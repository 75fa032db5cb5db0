/** The WeChat simulator, as the phones and the switches use it. */

export class Simulator {
  /** `url` as the service knows it; asked under the name by which this page was opened. */
  constructor(url) {
    this.url = `http://${location.hostname}:${new URL(url).port || 80}`
  }

  async ask(method, path, body) {
    const given = { method, body: body && JSON.stringify(body) }
    if (body) given.headers = { 'content-type': 'application/json' }
    const reply = await fetch(this.url + path, given)
    return { status: reply.status, body: await reply.json() }
  }

  async isThere() {
    return this.ask('GET', '/sim/stats').then(
      (answer) => answer.status === 200,
      () => false
    )
  }
}
