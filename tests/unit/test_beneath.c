/* test_beneath.c - opening below a directory and nowhere else: by openat2, and without it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/beneath.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory of the test's own, with the root in it and a secret beside it. */
static char base[64], command[256];
static struct crew__root root = { .fd = -1 };

static void in_base(const char *shell)
{
	snprintf(command, sizeof(command), "cd %s && %s", base, shell);
	assert_int_equal(system(command), 0);
}

static void open_root(bool walk)
{
	char path[80];
	strcpy(base, "/tmp/crew-beneath-XXXXXX");
	assert_non_null(mkdtemp(base));
	in_base("mkdir -p root/a/b && echo inner > root/a/b/file && echo top > root/top");
	in_base("echo secret > secret && mkdir out && echo secret > out/file");
	snprintf(path, sizeof(path), "%s/root", base);
	assert_int_equal(crew__root_open(&root, path), 0);
	if (root.walk && !walk)
		skip(); /* this kernel, or what stands before it (valgrind), has no openat2 */
	root.walk = walk;
}

static int clean_up(void **state)
{
	(void)state;
	crew__root_close(&root);
	crew__root_close(&root);
	if (base[0]) {
		snprintf(command, sizeof(command), "rm -rf %s", base);
		assert_int_equal(system(command), 0);
	}
	base[0] = '\0';
	return 0;
}

/* What stands in the file, or "-" and the error. */
static const char *look(const char *path)
{
	static char text[64];
	int fd = crew__open_beneath(&root, path, false);
	if (fd < 0) {
		snprintf(text, sizeof(text), "-%s", strerrorname_np(-fd));
		return text;
	}
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	int error = errno;
	close(fd);
	if (n < 0) {
		snprintf(text, sizeof(text), "open but %s", strerrorname_np(error));
		return text;
	}
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* 0 or the error of looking at the place alone. */
static int place(const char *path)
{
	int fd = crew__open_beneath(&root, path, true);
	if (fd < 0)
		return fd;
	assert_true(fcntl(fd, F_GETFL) & O_PATH);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	return 0;
}

/* ---- paths --------------------------------------------------------------------------------- */

static void plain_paths(void **state)
{
	static const char *const plain[] = { "", "a", "a/b", "a/b/", "a.b", "a..", "a/b.", "a b",
		"a:b", "~", "%2e%2e", "\xff", "a\nb", "-" };
	static const char *const others[] = { "/", "/a", "//", "a//b", "a//", ".", "..", "./a",
		"../a", "a/.", "a/..", "a/../b", "a/./b", ".git", "a/.git/b", "...", "a\\b", "\\",
		"..\\a", "a/\\" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(plain); i++)
		assert_true(crew__path_is_plain(crew_str(plain[i])));
	for (size_t i = 0; i < crew__lengthof(others); i++)
		assert_false(crew__path_is_plain(crew_str(others[i])));
	assert_false(crew__path_is_plain((crew_bytes){ "a\0b", 3 }));
	assert_false(crew__path_is_plain((crew_bytes){ "a\0", 2 }));
	assert_false(crew__path_is_plain((crew_bytes){ "\0", 1 }));
}

static void long_paths(void **state)
{
	char text[CREW__PATH_MOST + 1];
	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(crew__path_is_plain((crew_bytes){ text, CREW__PATH_MOST }));
	assert_false(crew__path_is_plain((crew_bytes){ text, CREW__PATH_MOST + 1 }));
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool walks(void **state)
{
	return *(bool *)*state;
}

static void what_lies_below(void **state)
{
	open_root(walks(state));
	assert_string_equal(look("top"), "top");
	assert_string_equal(look("a/b/file"), "inner");
	assert_string_equal(look("nothing"), "-ENOENT");
	assert_string_equal(look("a/nothing/file"), "-ENOENT");
	assert_string_equal(look("top/file"), "-ENOTDIR");
	assert_string_equal(look("a/b"), "open but EISDIR");
	assert_string_equal(look(""), "open but EISDIR");
	assert_int_equal(place("top"), 0);
	assert_int_equal(place("a/b"), 0);
	assert_int_equal(place("a/b/"), 0);
	assert_int_equal(place(""), 0);
	assert_int_equal(place("nothing"), -ENOENT);
	assert_int_equal(place("top/file"), -ENOTDIR);
}

static void links_that_lead_out(void **state)
{
	open_root(walks(state));
	in_base("ln -s ../secret root/out1 && ln -s ../out root/out2 && ln -s .. root/out3");
	in_base("ln -s $PWD/secret root/out4 && ln -s / root/out5 && ln -s ../../../secret root/a/b/out6");
	in_base("ln -s out1 root/out7 && ln -s a/../../secret root/out8");
	static const char *const paths[] = { "out1", "out2/file", "out3/secret", "out4",
		"out5/etc/passwd", "a/b/out6", "out7", "out8", "out2", "out3/root/top" };
	for (size_t i = 0; i < crew__lengthof(paths); i++) {
		const char *seen = look(paths[i]);
		assert_int_equal(seen[0], '-');
		assert_true(place(paths[i]) < 0);
	}
}

static void links_that_stay_inside(void **state)
{
	open_root(walks(state));
	in_base("ln -s top root/l1 && ln -s ../top root/a/l2 && ln -s a/b root/l3 && ln -s l1 root/l4");
	in_base("ln -s $PWD/root/top root/l5");
	if (walks(state)) {
		assert_string_equal(look("l1"), "-ELOOP");
		assert_string_equal(look("a/l2"), "-ELOOP");
		assert_string_equal(look("l3/file"), "-ENOTDIR");
		assert_int_equal(place("l1"), -ELOOP);
	} else {
		assert_string_equal(look("l1"), "top");
		assert_string_equal(look("a/l2"), "top");
		assert_string_equal(look("l3/file"), "inner");
		assert_string_equal(look("l4"), "top");
		assert_int_equal(place("l1"), 0);
	}
	assert_int_equal(look("l5")[0], '-'); /* an absolute link leaves, wherever it leads */
}

static void links_without_end(void **state)
{
	open_root(walks(state));
	in_base("ln -s l2 root/l1 && ln -s l1 root/l2 && ln -s . root/dot");
	assert_string_equal(look("l1"), "-ELOOP");
	assert_int_equal(place("l1"), -ELOOP);
	if (!walks(state))
		assert_string_equal(look("dot/dot/dot/top"), "top");
}

/* A root that holds /proc, where links are not what they say. */
static void magic_links(void **state)
{
	bool walk = walks(state);
	assert_int_equal(crew__root_open(&root, "/proc"), 0);
	root.walk = walk;
	assert_int_equal(look("self/root/etc/hostname")[0], '-');
	assert_int_equal(look("self/cwd/CMakeLists.txt")[0], '-');
	assert_int_equal(look("self/fd/0")[0], '-');
	assert_int_equal(look("self/exe")[0], '-');
	assert_int_equal(look("1/root/etc/passwd")[0], '-');
	char path[64];
	snprintf(path, sizeof(path), "%d/exe", getpid());
	assert_int_equal(look(path)[0], '-');
	snprintf(path, sizeof(path), "%d/comm", getpid());
	assert_string_not_equal(look(path), "-ENOENT");
}

/* Nothing that is opened makes us wait. */
static void what_is_no_file(void **state)
{
	open_root(walks(state));
	in_base("mkfifo root/fifo");
	assert_string_equal(look("fifo"), "");
	assert_int_equal(place("fifo"), 0);
}

static void names_too_long(void **state)
{
	char text[CREW__PATH_MOST + 1];
	open_root(walks(state));
	memset(text, 'a', sizeof(text));
	text[CREW__PATH_MOST] = '\0';
	assert_string_equal(look(text), "-ENAMETOOLONG");
	text[300] = '/';
	assert_string_equal(look(text), "-ENAMETOOLONG");
}

static void the_root_itself_is_moved(void **state)
{
	open_root(walks(state));
	in_base("mv root elsewhere && mkdir root && echo new > root/top");
	assert_string_equal(look("top"), "top"); /* the directory, not its name */
	assert_string_equal(look("a/b/file"), "inner");
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void no_descriptor_is_lost(void **state)
{
	open_root(walks(state));
	in_base("ln -s ../secret root/out1");
	static const char *const paths[] = { "top", "a/b/file", "a/b/nothing", "a/nothing/b",
		"top/x/y", "out1", "out1/x", "", "a/" };
	unsigned before = open_descriptors();
	for (size_t i = 0; i < crew__lengthof(paths); i++) {
		look(paths[i]);
		place(paths[i]);
	}
	assert_int_equal(open_descriptors(), before);
}

static void roots_that_are_none(void **state)
{
	struct crew__root none = { .fd = -1 };
	(void)state;
	assert_int_equal(crew__root_open(&none, "/tmp/crew-is-not-there"), -ENOENT);
	assert_int_equal(crew__root_open(&none, "/etc/passwd"), -ENOTDIR);
	assert_int_equal(none.fd, -1);
}

#define BOTH(test)                                                \
	{ #test " (openat2)", test, NULL, clean_up, &by_kernel }, \
	{                                                         \
#test " (walk)", test, NULL, clean_up, &by_walk   \
	}

int main(void)
{
	static bool by_kernel = false, by_walk = true;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_paths),
		cmocka_unit_test(long_paths),
		BOTH(what_lies_below),
		BOTH(links_that_lead_out),
		BOTH(links_that_stay_inside),
		BOTH(links_without_end),
		BOTH(magic_links),
		BOTH(what_is_no_file),
		BOTH(names_too_long),
		BOTH(the_root_itself_is_moved),
		BOTH(no_descriptor_is_lost),
		cmocka_unit_test(roots_that_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
