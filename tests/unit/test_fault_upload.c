/* test_fault_upload.c - files that come in and are saved, while memory, disk and kernel fail in
 * turn: the client is told, the program sees whole files or none, nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault.h"
#include "form_ways.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- calls on files that fail at will ------------------------------------------------------- */

/* These stand before libc's, as the program's own definitions do. fault.c has no say over them, as
 * other tests want their files. */
enum call {
	NO_CALL,
	OPEN,
	WRITE,
	LINK,
	COPY,
	READ,
	SEEK,
	CLOSE,
};

static struct {
	enum call call;
	int error; /* 0: less than asked for */
	unsigned at, calls;
	bool lasting, hit;
} failing;

static bool fails(enum call call)
{
	if (failing.call != call)
		return false;
	failing.calls++;
	bool now = failing.calls == failing.at || (failing.lasting && failing.calls > failing.at);
	failing.hit |= now;
	if (now)
		errno = failing.error;
	return now;
}

static bool is_file(int fd)
{
	struct stat about;
	return fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	unsigned mode = va_arg(arguments, unsigned);
	va_end(arguments);
	bool of_upload = strstr(path, "crew-test-") || strncmp(path, "/proc/self/fd/", 14) == 0;
	if (of_upload && fails(OPEN))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (failing.call == WRITE && is_file(fd) && fails(WRITE)) {
		if (failing.error)
			return -1;
		len = (len + 1) / 2;
	}
	return syscall(SYS_write, fd, data, len);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	if (fails(LINK))
		return -1;
	return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
}

ssize_t copy_file_range(
	int from, __off64_t *from_at, int to, __off64_t *to_at, size_t len, unsigned flags)
{
	if (failing.call == READ) { /* else nobody would read */
		errno = EXDEV;
		return -1;
	}
	if (fails(COPY)) {
		if (failing.error)
			return -1;
		len = (len + 1) / 2;
	}
	return syscall(SYS_copy_file_range, from, from_at, to, to_at, len, flags);
}

ssize_t pread64(int fd, void *data, size_t len, __off64_t at)
{
	if (fails(READ)) {
		if (failing.error)
			return -1;
		len = 0;
	}
	return syscall(SYS_pread64, fd, data, len, at);
}

__off64_t lseek64(int fd, __off64_t at, int whence)
{
	if (is_file(fd) && fails(SEEK))
		return -1;
	return syscall(SYS_lseek, fd, at, whence);
}

int close(int fd)
{
	bool fail = failing.call == CLOSE && is_file(fd) && fails(CLOSE);
	int result = (int)syscall(SYS_close, fd);
	if (fail)
		errno = failing.error;
	return fail ? -1 : result;
}

/* What they are called depends on how the library was compiled. */
int open(const char *path, int flags, ...) __attribute__((alias("open64")));
ssize_t pread(int fd, void *data, size_t len, off_t at) __attribute__((alias("pread64")));
off_t lseek(int fd, off_t at, int whence) __attribute__((alias("lseek64")));

/* ---- the scenario --------------------------------------------------------------------------- */

enum {
	SIZE = 100000
};

static char form[SIZE + 2000]; /* made once: no memory is asked for while it fails */
static size_t form_len;

static void make_form(void)
{
	static const char start[] = FIELD("a", "1") A_FILE("s", "short", "",
		"hello") "--B\r\nContent-Disposition: form-data; name=f; filename=long\r\n\r\n";
	static const char end[] = "\r\n--B--\r\n";
	size_t whole = sizeof(start) - 1 + SIZE + sizeof(end) - 1;
	form_len = (size_t)sprintf(form, POST(MULTIPART, "%zu", "%s"), whole, start);
	fill(form + form_len, SIZE);
	memcpy(form + form_len + SIZE, end, sizeof(end) - 1);
	form_len += SIZE + sizeof(end) - 1;
}

/* It is there and whole, or it is not there. */
static void check_saved(int error, const char *name, size_t size)
{
	static char data[SIZE + 1];
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", t.directory, name);
	enum call before = failing.call;
	failing.call = NO_CALL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd >= 0, error == 0);
	if (fd >= 0) {
		assert_int_equal(read(fd, data, sizeof(data)), size);
		if (size == SIZE)
			assert_filled(data, size);
		close(fd);
		assert_int_equal(unlink(path), 0);
	}
	failing.call = before;
}

static void save(const crew_upload *file, const char *name)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", t.directory, name);
	int error = crew_upload_save(file, path);
	assert_true(error <= 0);
	check_saved(error, name, (size_t)file->size);
}

/* Both ways of saving: the file itself, and copies. */
static void save_both(crew_conn *c, const crew_request *r)
{
	const crew_upload *f = crew_request_file(r, "f"), *s = crew_request_file(r, "s");
	char path[200];
	(void)c;
	assert_true(is(crew_request_form(r, "a"), "1"));
	assert_non_null(s);
	assert_non_null(f);
	assert_true(is(s->body, "hello") && f->size == SIZE && f->fd >= 0);
	snprintf(path, sizeof(path), "%s/first", t.directory);
	int error = crew_upload_save(f, path);
	save(f, "second");
	save(s, "third");
	check_saved(error, "first", SIZE);
	crew_request *kept = crew_request_keep(r);
	crew_request *copy = kept ? crew_request_keep(kept) : NULL;
	if (copy)
		assert_int_equal(crew_request_file(copy, "f")->size, SIZE);
	crew_request_free(copy);
	crew_request_free(kept);
	tell("looked");
}

/* However it ends, the peer gets at most one answer. Its status, 0 for none. */
static int run(void)
{
	for (size_t at = 0; at < form_len;) {
		ssize_t n = send(t.peer, form + at, crew__min(form_len - at, 30000),
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
		at += n > 0 ? (size_t)n : 0;
		world_settle(&t.world);
	}
	world_settle(&t.world);
	ssize_t len = recv(t.peer, t.room, FORM_ROOM - 1, MSG_DONTWAIT);
	t.room[len > 0 ? len : 0] = '\0';
	assert_null(strstr(t.room + (len > 0), "HTTP/1.1 "));
	return strncmp(t.room, "HTTP/1.1 ", 9) == 0 ? atoi(t.room + 9) : 0;
}

static void check_end(int status)
{
	assert_true(
		status == 204 || status == 500 || status == 503 || status == 507 || status == 0);
	assert_string_equal(told(), status == 204 ? "looked" : "");
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_int_equal(descriptors() + 2, t.descriptors);
}

static int clean_up(void **state)
{
	fault_set(FAULT_NONE, 0, false);
	failing.call = NO_CALL;
	return form_clean_up(state);
}

/* ---- each call in turn ---------------------------------------------------------------------- */

/* The first call fails, then the second, and so on until none is left that could. How many could.
 */
static unsigned in_turn(void **state, enum call call, int error, bool lasting, int *ret_last)
{
	unsigned n = 0;
	do {
		n++;
		told_anew();
		form_open(state, save_both);
		failing = (__typeof__(failing)){
			.call = call, .error = error, .at = n, .lasting = lasting
		};
		int status = run();
		failing.call = NO_CALL;
		check_end(status);
		if (n == 1)
			*ret_last = status; /* of the first, which comes while the form does */
		clean_up(state);
	} while (failing.hit && n < 200);
	return n - 1;
}

static void disks_and_kernels_that_fail(void **state)
{
	static const struct {
		enum call call;
		int error, status; /* of the answer when the first call fails */
	} rows[] = {
		{ OPEN, EACCES, 500 },
		{ OPEN, ENFILE, 503 },
		{ OPEN, ENOSPC, 507 },
		{ OPEN, EOPNOTSUPP, 204 }, /* then a file that has a name for a moment */
		{ WRITE, ENOSPC, 507 },
		{ WRITE, EDQUOT, 507 },
		{ WRITE, EIO, 500 },
		{ WRITE, EINTR, 204 },
		{ WRITE, 0, 204 },
		{ SEEK, EIO, 500 },
		{ LINK, EPERM, 204 },
		{ LINK, EXDEV, 204 },
		{ COPY, EXDEV, 204 },
		{ COPY, 0, 204 },
		{ READ, EIO, 204 },
		{ READ, EINTR, 204 },
		{ READ, 0, 204 },
		{ CLOSE, EIO, 204 },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		for (int lasting = 0; lasting < 2; lasting++) {
			int status = 0;
			if (lasting && rows[i].error == EINTR)
				continue; /* for ever */
			assert_true(
				in_turn(state, rows[i].call, rows[i].error, lasting, &status) > 0);
			if (rows[i].call != OPEN || rows[i].error != EOPNOTSUPP || !lasting)
				assert_int_equal(status, rows[i].status);
		}
	}
	form_open(state, NULL);
}

/* What is read back is no good, and the kernel cannot copy it itself. */
static void save_by_hand(crew_conn *c, const crew_request *r)
{
	const crew_upload *f = crew_request_file(r, "f");
	char path[200];
	(void)c;
	snprintf(path, sizeof(path), "%s/copy", t.directory);
	failing = (__typeof__(failing)){ .call = LINK, .error = EXDEV, .at = 1 };
	int error = crew_upload_save(f, path);
	assert_true(failing.hit);
	check_saved(error, "copy", SIZE);
	assert_int_equal(error, 0);

	/* A directory that takes no links, on a disk that cannot be read. */
	struct crew_upload cut = *f;
	cut.size += 1; /* the file is shorter than it is said to be */
	failing = (__typeof__(failing)){ .call = LINK, .error = EXDEV, .at = 1 };
	assert_int_equal(crew_upload_save(&cut, path), -EIO);
	check_saved(-EIO, "copy", SIZE);
	tell("looked");
}

static void what_cannot_be_copied_is_not_there(void **state)
{
	form_open(state, save_by_hand);
	check_end(run());
}

/* ---- memory --------------------------------------------------------------------------------- */

static void memory_that_fails(void **state)
{
	for (int lasting = 0; lasting < 2; lasting++) {
		unsigned n = 0;
		bool hit;
		do {
			n++;
			told_anew();
			form_open(state, save_both);
			fault_set(FAULT_MEMORY, n, lasting);
			int status = run();
			hit = fault_hit();
			fault_set(FAULT_NONE, 0, false);
			check_end(status);
			clean_up(state);
		} while (hit && n < 1000);
		assert_true(n > 8);
	}
	form_open(state, NULL);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	make_form();
	const struct CMUnitTest tests[] = {
		ON_BOTH(disks_and_kernels_that_fail),
		ON_BOTH(what_cannot_be_copied_is_not_there),
		ON_BOTH(memory_that_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
