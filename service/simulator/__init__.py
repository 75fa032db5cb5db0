"""A stand-in for WeChat's servers: the same wire, made-up accounts, faults on demand."""
