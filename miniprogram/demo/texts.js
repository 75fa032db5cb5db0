/** What the pages say: Chinese, or English on a phone in any other language. */
const zh = {
  welcome: '欢迎使用 MiniGate 演示',
  login: '微信一键登录',
  phoneLogin: '手机号快捷登录',
  simulated: '当前使用模拟器登录，不会访问微信',
  elsewhere: '您的账号已在其他设备登录',
  loginHere: '在本机登录',
  ended: '您的登录已结束',
  chooseAvatar: '更换头像',
  nickname: '昵称',
  save: '保存',
  saved: '已保存',
  phone: '手机号',
  noPhone: '未绑定',
  products: '商品列表',
  logout: '退出登录',
  failed: '出错了，请稍后再试',
  offline: '网络不可用，请检查后重试',
  retry: '重试',
}

const en = {
  welcome: 'The demo of MiniGate',
  login: 'Log in with WeChat',
  phoneLogin: 'Log in by phone number',
  simulated: 'Logins go to the simulator, not to WeChat',
  elsewhere: 'Your account has logged in on another device',
  loginHere: 'Log in here',
  ended: 'Your session has ended',
  chooseAvatar: 'Change the picture',
  nickname: 'Nickname',
  save: 'Save',
  saved: 'Saved',
  phone: 'Phone',
  noPhone: 'none yet',
  products: 'Products',
  logout: 'Log out',
  failed: 'Something went wrong; try again later',
  offline: 'No network; check it and try again',
  retry: 'Try again',
}

function systemLanguage() {
  const about = wx.getAppBaseInfo ? wx.getAppBaseInfo() : wx.getSystemInfoSync()
  return about.language || 'zh_CN'
}

const chinese = /^zh/.test(systemLanguage())
const texts = chinese ? zh : en

/** What to show of an error: the service's own text, which is in the user's language. */
function messageOf(error) {
  if (error.error === 'offline') return texts.offline
  return error.code ? error.message : texts.failed
}

module.exports = { language: chinese ? 'zh-CN' : 'en', messageOf, texts }
