/* last_words.c - the handlers of faults. Only what is async-signal-safe is done in them. */
#include "proc/last_words.h"

#include "base/log.h"
#include "proc/stack.h"
#include "proc/symbols.h"

#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	HANDLER_STACK = 64 * 1024, /* beside what the kernel stores: walking and naming */
	GUARD_PAGE = 4096,
	OVERFLOW_NEAR = 64 * 1024, /* from the stack pointer */
};

static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS };

static struct {
	struct crew__last_words_plan plan;
	pid_t pid;           /* whose words these are */
	_Atomic pid_t dying; /* the thread that writes; 0: nobody dies */
	bool ours[crew__lengthof(fatal)];
} self;

/* ---- the end ------------------------------------------------------------------------------- */

/* The signal comes again, to the same thread, when the handler has returned. */
static void let_happen(int signo, siginfo_t *info)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t set;
	for (size_t i = 0; i < crew__lengthof(fatal); i++)
		if (self.ours[i])
			sigaction(fatal[i], &plain, NULL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signo, info) != 0)
		syscall(SYS_tgkill, getpid(), gettid(), signo);
}

/* ---- what is written ----------------------------------------------------------------------- */

static bool lies_beyond_stack(const siginfo_t *info, const void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr, top = crew__stack_pointer(context);
	return top != 0 && address < top + GUARD_PAGE && address + OVERFLOW_NEAR > top;
}

static void write_fault(struct crew__fault *fault, const siginfo_t *info, const void *context)
{
	bool by_kernel = info->si_code > 0;
	*fault = (struct crew__fault){
		.signal = info->si_signo,
		.code = info->si_code,
		.sender = by_kernel ? 0 : info->si_pid,
		.sender_uid = by_kernel ? 0 : info->si_uid,
	};
	if (by_kernel && info->si_signo == SIGSYS)
		fault->address = (uint64_t)(unsigned)info->si_syscall;
	else if (by_kernel)
		fault->address = (uint64_t)(uintptr_t)info->si_addr;
	fault->overflow = by_kernel && info->si_signo == SIGSEGV &&
			  lies_beyond_stack(info, context);
}

/* Each step is marked as done before the next one, which may fail. */
static void write_words(struct crew__words *words, const siginfo_t *info, const void *context)
{
	write_fault(&words->fault, info, context);
	atomic_store_explicit(&words->said, CREW__SAID_WHAT, memory_order_release);
	crew__stack_take(&words->dying, context);
	atomic_store_explicit(&words->said, CREW__SAID_WHERE, memory_order_release);
	crew__stack_name(&words->dying);
	atomic_store_explicit(&words->said, CREW__SAID_ALL, memory_order_release);
}

/* For a master that knows nothing but a line: the innermost place, unless a panic has spoken. */
static void write_line(const void *context)
{
	if (self.plan.line && self.plan.line[0] == '\0')
		crew__symbols_name(crew__stack_pc(context), false, self.plan.line, self.plan.size);
}

static void on_fatal(int signo, siginfo_t *info, void *context)
{
	pid_t nobody = 0;
	if (getpid() != self.pid) { /* a child of ours, in which nothing has been replaced */
		let_happen(signo, info);
		return;
	}
	crew__stack_escape();
	if (!atomic_compare_exchange_strong(&self.dying, &nobody, gettid())) {
		/* Another thread is writing, and ends us all. This one has no more to say. */
		while (nobody != gettid())
			pause();
		let_happen(signo, info);
		return;
	}
	if (self.plan.words)
		write_words(self.plan.words, info, context);
	else
		write_line(context);
	crew__log_before_death();
	let_happen(signo, info);
}

/* ---- handler stacks ------------------------------------------------------------------------ */

static size_t handler_stack_size(void)
{
	size_t least = (size_t)getauxval(AT_MINSIGSTKSZ); /* with all registers of this machine */
	return HANDLER_STACK + (least + GUARD_PAGE - 1) / GUARD_PAGE * GUARD_PAGE;
}

void crew__last_words_thread_begin(void)
{
	stack_t present;
	size_t size = handler_stack_size();
	/* The program's own, or a sanitizer's, stays. */
	if (sigaltstack(NULL, &present) != 0 || !(present.ss_flags & SS_DISABLE))
		return;
	char *memory = mmap(NULL, size + GUARD_PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	mprotect(memory, GUARD_PAGE, PROT_NONE);
	const stack_t stack = { .ss_sp = memory + GUARD_PAGE, .ss_size = size };
	if (sigaltstack(&stack, NULL) != 0)
		munmap(memory, size + GUARD_PAGE);
}

void crew__last_words_thread_end(void)
{
	stack_t present;
	const stack_t none = { .ss_flags = SS_DISABLE };
	if (sigaltstack(NULL, &present) != 0 || (present.ss_flags & SS_DISABLE) ||
		present.ss_size != handler_stack_size())
		return;
	if (sigaltstack(&none, NULL) == 0)
		munmap((char *)present.ss_sp - GUARD_PAGE, present.ss_size + GUARD_PAGE);
}

/* ---- beginning and end --------------------------------------------------------------------- */

void crew__last_words_begin(const struct crew__last_words_plan *plan)
{
	struct sigaction present;
	struct sigaction action = { .sa_sigaction = on_fatal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	sigemptyset(&action.sa_mask);
	self.plan = *plan;
	self.pid = getpid();
	atomic_store(&self.dying, 0);
	crew__symbols_open();
	crew__stack_warm();
	crew__last_words_thread_begin();
	for (size_t i = 0; i < crew__lengthof(fatal); i++) {
		self.ours[i] = sigaction(fatal[i], NULL, &present) == 0 &&
			       !(present.sa_flags & SA_SIGINFO) && present.sa_handler == SIG_DFL;
		if (self.ours[i])
			sigaction(fatal[i], &action, NULL);
	}
}

void crew__last_words_end(void)
{
	struct sigaction present, plain = { .sa_handler = SIG_DFL };
	for (size_t i = 0; i < crew__lengthof(fatal); i++) {
		/* The program may have put its own in our place meanwhile. */
		if (self.ours[i] && sigaction(fatal[i], NULL, &present) == 0 &&
			(present.sa_flags & SA_SIGINFO) && present.sa_sigaction == on_fatal)
			sigaction(fatal[i], &plain, NULL);
		self.ours[i] = false;
	}
	crew__last_words_thread_end();
	self.plan = (struct crew__last_words_plan){ .words = NULL };
}
