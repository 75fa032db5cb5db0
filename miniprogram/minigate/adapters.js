/** The platforms there are: `createGate({ baseUrl, platform: forUni(uni) })`. */
'use strict'

const { platformOf } = require('./index.js')

/** The default: createGate() makes it by itself. */
exports.forWx = (wx) => platformOf(wx)

/** uni.login wants to know whose login it is; on other platforms than WeChat's there is no such code. */
exports.forUni = (uni) => platformOf(uni, { provider: 'weixin' })

exports.forTaro = (Taro) => platformOf(Taro)
