/* top_term.c - the terminal while `top` has it. Not here: what is on the screen. */
#include "cli/top_term.h"

#include "cli/top_keys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	ROWS = 24, /* of a terminal that does not tell */
	COLUMNS = 80,
	FRAME_MAX = 1 << 24,
	PARTING_MS = 200 /* for the last words to a terminal that takes nothing */
};

/* The other screen (1049), no cursor (25), no wrapping at the right edge (7). */
static const char enter_words[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
static const char leave_words[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

/* Deaths of our own making: the terminal is given back before them. */
static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
static struct sigaction before_us[crew__lengthof(faults)];
static const struct crew__terminal *taken;

/* ---- giving back when all else failed -------------------------------------------------------- */

/* Only what POSIX allows in a handler. Then it goes on as if we had not been asked. */
static void give_back(int signal_number)
{
	const struct crew__terminal *terminal = taken;
	taken = NULL;
	if (terminal) {
		ssize_t written = write(terminal->out, leave_words, sizeof(leave_words) - 1);
		(void)written; /* there is nobody left to tell */
		tcsetattr(terminal->in, TCSANOW, &terminal->before);
	}
	for (size_t i = 0; i < crew__lengthof(faults); i++)
		sigaction(faults[i], &before_us[i], NULL);
	raise(signal_number);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_handler = give_back };
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < crew__lengthof(faults); i++)
		sigaction(faults[i], &action, &before_us[i]);
}

static void let_faults_be(void)
{
	for (size_t i = 0; i < crew__lengthof(faults); i++)
		sigaction(faults[i], &before_us[i], NULL);
}

/* ---- opening --------------------------------------------------------------------------------- */

bool crew__terminal_there(void)
{
	const char *term = getenv("TERM");
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
	       (!term || strcmp(term, "dumb") != 0);
}

/* A description of our own does not wait, while the shell's stays as it is: a terminal that takes
 * nothing must not keep us from a signal. Where it may not be opened, the shell's is used. */
static void open_out(struct crew__terminal *terminal)
{
	int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	terminal->own_out = fd >= 0;
	terminal->out = fd >= 0 ? fd : STDOUT_FILENO;
}

int crew__terminal_open(struct crew__terminal *terminal, int signals)
{
	struct crew__screen screen;
	*terminal = (struct crew__terminal){ .in = STDIN_FILENO, .signals = signals };
	crew__buf_init(&terminal->frame, FRAME_MAX);
	crew__screen_init(&screen, stdout);
	terminal->colours = screen.colours;
	if (tcgetattr(terminal->in, &terminal->before))
		return -errno;
	open_out(terminal);
	return 0;
}

void crew__terminal_close(struct crew__terminal *terminal)
{
	crew__terminal_leave(terminal);
	crew__page_fini(&terminal->shown);
	crew__buf_release(&terminal->frame);
	if (terminal->own_out)
		close(terminal->out);
	terminal->own_out = false;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* True when more can be written; false when `timeout_ms` passed or, with `signals`, one waits. */
static bool wait_for_room(const struct crew__terminal *terminal, int timeout_ms, bool signals)
{
	struct pollfd ways[] = { { .fd = terminal->out, .events = POLLOUT },
		{ .fd = signals ? terminal->signals : -1, .events = POLLIN } };
	int ready = poll(ways, crew__lengthof(ways), timeout_ms);
	return ready > 0 && !ways[1].revents;
}

static int write_all(
	const struct crew__terminal *terminal, const char *text, size_t len, int patience_ms)
{
	bool signals = patience_ms < 0;
	while (len > 0) {
		ssize_t n = write(terminal->out, text, len);
		if (n < 0 && errno == EAGAIN && !wait_for_room(terminal, patience_ms, signals))
			return -EINTR;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int crew__terminal_show(struct crew__terminal *terminal, struct crew__page *take_page)
{
	terminal->frame.len = 0;
	int error = crew__page_frame(
		take_page, &terminal->shown, terminal->colours, &terminal->frame);
	if (!error)
		error = write_all(terminal, terminal->frame.data, terminal->frame.len, -1);
	crew__page_fini(&terminal->shown);
	if (error)
		crew__page_fini(take_page);
	else
		terminal->shown = *take_page;
	return error;
}

int crew__terminal_page(const struct crew__terminal *terminal, struct crew__page *ret_page)
{
	struct winsize size = { 0 };
	bool told = ioctl(terminal->out, TIOCGWINSZ, &size) == 0;
	return crew__page_new(ret_page, told && size.ws_row ? size.ws_row : ROWS,
		told && size.ws_col ? size.ws_col : COLUMNS);
}

/* ---- taking and giving back ------------------------------------------------------------------ */

int crew__terminal_take(struct crew__terminal *terminal)
{
	if (terminal->taken)
		return 0;
	struct termios keys = terminal->before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
	keys.c_iflag &= ~(tcflag_t)IXON;
	keys.c_cc[VMIN] = 0; /* a read does not wait */
	keys.c_cc[VTIME] = 0;
	if (tcsetattr(terminal->in, TCSANOW, &keys))
		return -errno;
	terminal->taken = true;
	taken = terminal;
	catch_faults();
	crew__page_fini(&terminal->shown);
	return write_all(terminal, enter_words, sizeof(enter_words) - 1, PARTING_MS);
}

void crew__terminal_leave(struct crew__terminal *terminal)
{
	if (!terminal->taken)
		return;
	/* A terminal that is gone cannot be told; there is nothing else to do about it. */
	write_all(terminal, leave_words, sizeof(leave_words) - 1, PARTING_MS);
	tcsetattr(terminal->in, TCSANOW, &terminal->before);
	terminal->taken = false;
	taken = NULL;
	let_faults_be();
}

void crew__terminal_forget(void)
{
	if (taken)
		let_faults_be();
	taken = NULL;
}

/* ---- keys ------------------------------------------------------------------------------------ */

int crew__terminal_read(struct crew__terminal *terminal)
{
	size_t room = sizeof(terminal->typed) - terminal->typed_len;
	ssize_t n = read(terminal->in, terminal->typed + terminal->typed_len, room);
	if (n > 0)
		terminal->typed_len += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? 0 : -EIO;
}

int crew__terminal_key(struct crew__terminal *terminal, bool more)
{
	size_t used;
	if (terminal->typed_len == 0)
		return CREW__KEY_NONE;
	int key = crew__top_key(terminal->typed, terminal->typed_len, more, &used);
	if (key == CREW__KEY_NONE)
		return key;
	terminal->typed_len -= used;
	memmove(terminal->typed, terminal->typed + used, terminal->typed_len);
	return key;
}
