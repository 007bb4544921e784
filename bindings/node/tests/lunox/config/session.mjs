export default JSON.parse(process.env.LUNOX_SESSION);
