/* Included before everything else: what bcc's own headers expect of a kernel's. */
#pragma once
#define CONFIG_BPF_SYSCALL 1
#define __always_inline inline __attribute__((always_inline))
#define __user
#define __packed __attribute__((packed))
#include <linux/types.h>
struct task_struct;
struct pt_regs;
struct sk_buff;
