#include "proc/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef THIS_ARCH

static const int refused[] = {
	/* other processes */
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_process_madvise,
	SYS_pidfd_getfd,
	SYS_move_pages,
	SYS_migrate_pages,
	/* file systems and roots */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_swapon,
	SYS_swapoff,
	SYS_quotactl,
	SYS_open_by_handle_at,
	SYS_fanotify_init,
	SYS_acct,
	/* namespaces; those that clone() makes are below */
	SYS_unshare,
	SYS_setns,
	/* the kernel itself */
	SYS_kexec_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_reboot,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_syslog,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_vhangup,
	SYS_lookup_dcookie,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
	/* what the whole machine shares */
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_sethostname,
	SYS_setdomainname,
#ifdef __x86_64__
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_uselib,
	SYS__sysctl,
	SYS_ustat,
	SYS_sysfs,
#endif
};

#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		CLONE_NEWPID | CLONE_NEWNET)
#define X32_BIT 0x40000000u

#ifndef TIOCLINUX
#define TIOCLINUX 0x541c
#endif

/* The part of an argument that flags are in: both processors have the low half first. */
#define NUMBER ((uint32_t)offsetof(struct seccomp_data, nr))
#define ARCH   ((uint32_t)offsetof(struct seccomp_data, arch))
#define FIRST  ((uint32_t)offsetof(struct seccomp_data, args[0]))
#define SECOND ((uint32_t)offsetof(struct seccomp_data, args[1]))

enum {
	MOST = 2 * crew__lengthof(refused) + 32
};

struct filter {
	struct sock_filter steps[MOST];
	unsigned short length;
};

static void add(struct filter *filter, unsigned code, uint32_t value, uint8_t yes, uint8_t no)
{
	filter->steps[filter->length++] = (struct sock_filter){ (uint16_t)code, yes, no, value };
}

static void load(struct filter *filter, uint32_t offset)
{
	add(filter, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

/* If what is loaded compares so with `value`, that is the answer; else on. */
static void answer_if(struct filter *filter, unsigned comparison, uint32_t value, uint32_t answer)
{
	add(filter, BPF_JMP | comparison | BPF_K, value, 0, 1);
	add(filter, BPF_RET | BPF_K, answer, 0, 0);
}

/* Calls of another processor's kind would have other numbers: whoever makes them wants around this.
 */
static void look_at_kind(struct filter *filter, uint32_t answer)
{
	load(filter, ARCH);
	add(filter, BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
	add(filter, BPF_RET | BPF_K, answer, 0, 0);
	load(filter, NUMBER);
#ifdef __x86_64__
	answer_if(filter, BPF_JGE, X32_BIT, answer);
#endif
}

/* clone3 has its flags in memory, where no filter sees them: libraries without it use clone. */
static void look_at_clone(struct filter *filter, uint32_t answer)
{
	answer_if(filter, BPF_JEQ, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
	add(filter, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	load(filter, FIRST);
	answer_if(filter, BPF_JSET, NEW_NAMESPACES, answer);
	load(filter, NUMBER);
}

/* As if the user of our terminal had typed it. */
static void look_at_ioctl(struct filter *filter, uint32_t answer)
{
	add(filter, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6);
	load(filter, SECOND);
	answer_if(filter, BPF_JEQ, TIOCSTI, answer);
	answer_if(filter, BPF_JEQ, TIOCLINUX, answer);
	load(filter, NUMBER);
}

static void build(struct filter *filter, uint32_t answer)
{
	filter->length = 0;
	look_at_kind(filter, answer);
	for (size_t i = 0; i < crew__lengthof(refused); i++)
		answer_if(filter, BPF_JEQ, (uint32_t)refused[i], answer);
	look_at_clone(filter, answer);
	look_at_ioctl(filter, answer);
	add(filter, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

int crew__seccomp_apply(enum crew__seccomp_action action)
{
	static const uint32_t answers[] = {
		[CREW__SECCOMP_REFUSE] = SECCOMP_RET_ERRNO | EPERM,
		[CREW__SECCOMP_KILL] = SECCOMP_RET_KILL_PROCESS,
		[CREW__SECCOMP_LOG] = SECCOMP_RET_LOG,
	};
	struct filter filter;
	build(&filter, answers[action]);
	const struct sock_fprog program = { .len = filter.length, .filter = filter.steps };
	long status = syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
	if (status < 0)
		return errno == EINVAL ? -ENOSYS : -errno;
	/* A thread that would not come along. */
	return status > 0 ? -ESRCH : 0;
}

#else

int crew__seccomp_apply(enum crew__seccomp_action action)
{
	(void)action;
	return -ENOSYS;
}

#endif
