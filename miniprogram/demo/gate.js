/** The one gate of this mini-program; every page requires this file. */
const { createGate, platformOf } = require('../minigate/index.js')
const config = require('./config.js')
const { language } = require('./texts.js')

const platform = platformOf(wx)
let simulatedPhoneCode = null

if (config.simulatorUrl && wx.getAccountInfoSync().miniProgram.envVersion === 'develop') {
  const ask = async (path) => {
    const url = config.simulatorUrl + path
    const res = await platform.request({ url, method: 'POST', data: { user: config.user } })
    return res.data.code
  }
  platform.login = () => ask('/sim/login')
  simulatedPhoneCode = () => ask('/sim/phone')
}

const gate = createGate({
  baseUrl: config.baseUrl,
  platform,
  header: { 'Accept-Language': language },
})

/** `data` of an answer of the service; throws where the answer is an error. */
function dataOf(res) {
  const body = typeof res.data === 'string' ? JSON.parse(res.data) : res.data // text: wx.uploadFile
  if (body.code === 0) return body.data
  throw { error: body.error, code: body.code, message: body.msg }
}

module.exports = {
  gate,
  dataOf,
  /** What the phone number button would bring; null where the button itself works. */
  simulatedPhoneCode,
  /** The address of a picture that the service names by its path. */
  addressOf: (path) => (/^https?:/.test(path) ? path : config.baseUrl + path),
}
