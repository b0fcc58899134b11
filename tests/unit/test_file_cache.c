/* test_file_cache.c - files ready to be sent: what is kept, for how long, and what a change does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "web/file_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	char base[64];
	struct crew__root root;
	int leads_out; /* the error for a link that does */
	struct crew__mime *mime;
	struct crew__file_cache *cache;
	uint64_t now; /* seconds */
	char *large;
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	strcpy(t.base, "/tmp/crew-files-XXXXXX");
	assert_non_null(mkdtemp(t.base));
	assert_int_equal(crew__root_open(&t.root, t.base), 0);
	t.leads_out = t.root.walk ? -ELOOP : -EXDEV;
	assert_int_equal(crew__mime_new(&t.mime, NULL), 0);
	t.cache = crew__file_cache_new(t.mime);
	assert_non_null(t.cache);
	t.now = 100;
	t.large = malloc(CREW__FILE_IN_MEMORY + 1);
	memset(t.large, 'L', CREW__FILE_IN_MEMORY + 1);
	return 0;
}

static int clean_up(void **state)
{
	char command[100];
	(void)state;
	crew__file_cache_free(t.cache);
	crew__mime_free(t.mime);
	crew__root_close(&t.root);
	free(t.large);
	snprintf(command, sizeof(command), "rm -rf %s", t.base);
	return system(command);
}

/* ---- what tests do ------------------------------------------------------------------------- */

static const char *full(const char *name)
{
	static char path[400];
	snprintf(path, sizeof(path), "%s/%s", t.base, name);
	return path;
}

/* Every file is as old as `age` seconds, so that none is young unless a test wants it so. */
static void set_age(const char *name, int64_t age)
{
	const struct timespec times[2] = { { .tv_sec = 1700000000 - age },
		{ .tv_sec = 1700000000 - age } };
	assert_int_equal(utimensat(AT_FDCWD, full(name), times, 0), 0);
}

static void write_bytes(const char *name, const char *text, size_t len)
{
	int fd = open(full(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
	set_age(name, 1000);
}

static void write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static int get(const char *name, const struct crew__file_entry **ret_entry)
{
	int error = crew__file_cache_get(
		t.cache, &t.root, crew_str(name), t.now * CREW__NS_PER_S, ret_entry);
	crew__file_cache_check(t.cache);
	return error;
}

static const struct crew__file_entry *have(const char *name)
{
	const struct crew__file_entry *entry = NULL;
	assert_int_equal(get(name, &entry), 0);
	return entry;
}

static const struct crew__file *plain(const char *name)
{
	return have(name)->forms[CREW__FORM_PLAIN];
}

static int fails(const char *name)
{
	const struct crew__file_entry *entry = NULL;
	int error = get(name, &entry);
	assert_null(entry);
	return error;
}

static void assert_body(const struct crew__file *file, const char *text)
{
	assert_int_equal(file->body.len, strlen(text));
	assert_memory_equal(file->body.data, text, strlen(text));
	assert_int_equal(file->size, strlen(text));
}

static struct rlimit limit_descriptors(rlim_t most)
{
	struct rlimit old, new;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	new = old;
	new.rlim_cur = most;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &new), 0);
	return old;
}

/* Long enough that what was found counts no more. */
static void time_passes(void)
{
	t.now += 1;
}

/* So long that no file is young any more. */
static void age(void)
{
	usleep(60 * 1000);
}

/* ---- one file ------------------------------------------------------------------------------ */

static void a_short_file_is_in_memory(void **state)
{
	(void)state;
	write_file("a.txt", "hello");
	const struct crew__file_entry *entry = have("a.txt");
	const struct crew__file *file = entry->forms[CREW__FORM_PLAIN];
	assert_body(file, "hello");
	assert_int_equal(file->fd, -1);
	assert_string_equal(entry->type, "text/plain; charset=utf-8");
	assert_null(entry->forms[CREW__FORM_GZIP]);
	assert_null(entry->forms[CREW__FORM_BROTLI]);
	assert_string_equal(file->modified_text, "Tue, 14 Nov 2023 21:56:40 GMT");
	assert_int_equal(file->etag.data[0], '"');
	assert_int_equal(file->etag.data[file->etag.len - 1], '"');
	assert_int_equal(t.cache->count, 1);
}

static void an_empty_file(void **state)
{
	(void)state;
	write_file("empty", "");
	assert_body(plain("empty"), "");
	assert_non_null(plain("empty")->body.data);
}

static void a_long_file_is_open(void **state)
{
	(void)state;
	write_bytes("most", t.large, CREW__FILE_IN_MEMORY);
	assert_int_equal(plain("most")->body.len, CREW__FILE_IN_MEMORY);
	write_bytes("more", t.large, CREW__FILE_IN_MEMORY + 1);
	const struct crew__file *file = plain("more");
	assert_null(file->body.data);
	assert_true(file->fd >= 0);
	assert_true(fcntl(file->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(file->size, CREW__FILE_IN_MEMORY + 1);
}

static void what_is_no_file(void **state)
{
	(void)state;
	write_file("a", "hello");
	assert_int_equal(mkdir(full("dir"), 0755), 0);
	assert_int_equal(mkfifo(full("fifo"), 0644), 0);
	assert_int_equal(symlink("/etc/passwd", full("out")), 0);
	assert_int_equal(fails("nothing"), -ENOENT);
	assert_int_equal(fails("dir"), -EISDIR);
	assert_int_equal(fails("fifo"), -ENOENT);
	assert_int_equal(fails("a/b"), -ENOTDIR);
	assert_int_equal(fails("out"), t.leads_out);
	assert_int_equal(t.cache->count, 0);
	assert_int_equal(t.cache->bytes, 0);
}

static void two_roots_are_two(void **state)
{
	struct crew__root other;
	const struct crew__file_entry *entry;
	(void)state;
	write_file("a", "one");
	assert_int_equal(mkdir(full("sub"), 0755), 0);
	write_file("sub/a", "two");
	assert_int_equal(crew__root_open(&other, full("sub")), 0);
	assert_body(plain("a"), "one");
	assert_int_equal(crew__file_cache_get(t.cache, &other, CREW_BYTES("a"), 0, &entry), 0);
	assert_body(entry->forms[CREW__FORM_PLAIN], "two");
	assert_body(plain("a"), "one");
	crew__root_close(&other);
}

/* ---- changes ------------------------------------------------------------------------------- */

static void within_a_second_nothing_is_looked_at(void **state)
{
	(void)state;
	write_file("a", "one");
	assert_body(plain("a"), "one");
	write_file("a", "other");
	assert_body(plain("a"), "one");
	assert_int_equal(unlink(full("a")), 0);
	assert_body(plain("a"), "one");
	time_passes();
	assert_int_equal(fails("a"), -ENOENT);
	assert_int_equal(t.cache->count, 0);
}

static void what_did_not_change_stays(void **state)
{
	(void)state;
	write_file("a", "one");
	age();
	const struct crew__file *file = plain("a");
	time_passes();
	assert_ptr_equal(plain("a"), file);
}

static void another_content_is_seen(void **state)
{
	char etag[64];
	(void)state;
	write_file("a", "one");
	snprintf(etag, sizeof(etag), "%s", plain("a")->etag_text);
	write_file("a", "four");
	time_passes();
	assert_body(plain("a"), "four");
	assert_string_not_equal(plain("a")->etag_text, etag);
}

/* The same length, and the clock of the file put back: its time of change tells. */
static void a_change_that_hides(void **state)
{
	(void)state;
	write_file("a", "one");
	age();
	assert_body(plain("a"), "one");
	write_file("a", "two");
	time_passes();
	assert_body(plain("a"), "two");
}

static void another_file_in_its_place(void **state)
{
	char new_path[400];
	(void)state;
	write_file("a", "one");
	age();
	struct crew__file *old = crew__file_ref(have("a")->forms[CREW__FORM_PLAIN]);
	write_file("b", "two");
	strcpy(new_path, full("b"));
	assert_int_equal(rename(new_path, full("a")), 0);
	time_passes();
	assert_body(plain("a"), "two");
	assert_body(old, "one"); /* who is still sending it goes on */
	crew__file_unref(old);
}

static void moved_out_and_linked_to(void **state)
{
	char outside[100], command[2000];
	(void)state;
	snprintf(outside, sizeof(outside), "%s-outside", t.base);
	write_file("a", "one");
	age();
	assert_body(plain("a"), "one");
	snprintf(command, sizeof(command), "mv %s %s && ln -s %s %s", full("a"), outside, outside,
		full("a"));
	assert_int_equal(system(command), 0);
	time_passes();
	assert_int_equal(fails("a"), t.leads_out);
	unlink(outside);
}

static void rights_are_looked_at_again(void **state)
{
	(void)state;
	write_file("a", "one");
	age();
	const struct crew__file *file = plain("a");
	uint64_t inode = file->stamp.inode;
	int64_t changed = file->stamp.changed_ns;
	assert_int_equal(chmod(full("a"), 0600), 0);
	time_passes();
	assert_int_equal(plain("a")->stamp.inode, inode);
	assert_int_not_equal(plain("a")->stamp.changed_ns, changed); /* it was opened anew */
}

/* Written just now, it may be written again in the same tick of the clock. */
static void a_young_file_is_read_again(void **state)
{
	(void)state;
	write_file("a", "one");
	const struct crew__file *first = plain("a");
	assert_true(first->young);
	struct crew__file *kept = crew__file_ref((struct crew__file *)(uintptr_t)first);
	age();
	time_passes();
	assert_ptr_not_equal(plain("a"), kept);
	assert_false(plain("a")->young);
	const struct crew__file *second = plain("a");
	time_passes();
	assert_ptr_equal(plain("a"), second);
	crew__file_unref(kept);
}

static void a_file_from_the_future(void **state)
{
	const struct timespec far[2] = { { .tv_sec = INT32_MAX }, { .tv_sec = INT32_MAX } };
	(void)state;
	write_file("a", "one");
	assert_int_equal(utimensat(AT_FDCWD, full("a"), far, 0), 0);
	assert_body(plain("a"), "one");
	assert_string_equal(plain("a")->modified_text, "Tue, 19 Jan 2038 03:14:07 GMT");
	assert_true(plain("a")->from_future);
	const struct timespec before[2] = { { .tv_sec = -5 }, { .tv_sec = -5 } };
	assert_int_equal(utimensat(AT_FDCWD, full("a"), before, 0), 0);
	time_passes();
	assert_body(plain("a"), "one");
	assert_false(plain("a")->from_future);
}

/* Its bytes are sent from where they lie: they must not go out under the tag of others. */
static void a_change_of_a_long_file_is_seen_at_once(void **state)
{
	char etag[64];
	(void)state;
	write_bytes("long", t.large, CREW__FILE_IN_MEMORY + 1);
	snprintf(etag, sizeof(etag), "%s", plain("long")->etag_text);
	assert_int_equal(truncate(full("long"), CREW__FILE_IN_MEMORY + 500), 0);
	assert_int_equal(plain("long")->size, CREW__FILE_IN_MEMORY + 500);
	assert_string_not_equal(plain("long")->etag_text, etag);
	assert_int_equal(truncate(full("long"), 5), 0);
	assert_body(plain("long"), "LLLLL");
}

/* ---- siblings ------------------------------------------------------------------------------ */

static void siblings(void **state)
{
	(void)state;
	write_file("a.css", "plain");
	write_file("a.css.gz", "GZ");
	write_file("a.css.br", "B");
	const struct crew__file_entry *entry = have("a.css");
	assert_body(entry->forms[CREW__FORM_PLAIN], "plain");
	assert_body(entry->forms[CREW__FORM_GZIP], "GZ");
	assert_body(entry->forms[CREW__FORM_BROTLI], "B");
	assert_string_equal(entry->type, "text/css; charset=utf-8");
	assert_int_equal(t.cache->count, 3);
	/* Asked for by its own name, one is a file like any. */
	assert_string_equal(have("a.css.gz")->type, "application/gzip");
}

static void siblings_come_and_go(void **state)
{
	(void)state;
	write_file("a", "plain");
	assert_null(have("a")->forms[CREW__FORM_GZIP]);
	write_file("a.gz", "GZ");
	assert_null(have("a")->forms[CREW__FORM_GZIP]);
	time_passes();
	assert_body(have("a")->forms[CREW__FORM_GZIP], "GZ");
	write_file("a.gz", "GZIP");
	time_passes();
	assert_body(have("a")->forms[CREW__FORM_GZIP], "GZIP");
	assert_int_equal(unlink(full("a.gz")), 0);
	time_passes();
	assert_null(have("a")->forms[CREW__FORM_GZIP]);
	assert_int_equal(t.cache->count, 1);
}

static void a_sibling_alone_is_nothing(void **state)
{
	(void)state;
	write_file("a.gz", "GZ");
	assert_int_equal(fails("a"), -ENOENT);
	assert_int_equal(t.cache->count, 0);
}

static void a_stale_sibling_is_not_used(void **state)
{
	(void)state;
	write_file("a", "plain");
	write_file("a.gz", "GZ");
	set_age("a.gz", 1001);
	assert_null(have("a")->forms[CREW__FORM_GZIP]);
	set_age("a.gz", 999);
	time_passes();
	assert_non_null(have("a")->forms[CREW__FORM_GZIP]);
	set_age("a", 998);
	time_passes();
	assert_null(have("a")->forms[CREW__FORM_GZIP]);
}

static void what_is_no_sibling(void **state)
{
	(void)state;
	write_file("a", "plain");
	assert_int_equal(mkdir(full("a.gz"), 0755), 0);
	assert_int_equal(symlink("/etc/passwd", full("a.br")), 0);
	assert_null(have("a")->forms[CREW__FORM_GZIP]);
	assert_null(have("a")->forms[CREW__FORM_BROTLI]);
}

/* ---- bounds -------------------------------------------------------------------------------- */

static void never_too_many(void **state)
{
	char name[32];
	(void)state;
	write_file("first", "1");
	write_file("busy", "2");
	have("first");
	have("busy");
	for (int i = 0; i < CREW__FILES_MOST + 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(name, "x");
		have(name);
		have("busy");
		assert_true(t.cache->count <= CREW__FILES_MOST);
	}
	assert_int_equal(t.cache->count, CREW__FILES_MOST);
	/* Who is asked for stays, who is not goes: without a look at the disk only what is kept is
	 * there. */
	assert_int_equal(unlink(full("busy")), 0);
	assert_int_equal(unlink(full("first")), 0);
	assert_body(plain("busy"), "2");
	assert_int_equal(fails("first"), -ENOENT);
}

static void never_too_large(void **state)
{
	enum {
		FIT = CREW__FILES_BYTES_MOST / CREW__FILE_IN_MEMORY
	};
	char name[32];
	(void)state;
	write_bytes("0", t.large, CREW__FILE_IN_MEMORY);
	for (int i = 0; i < FIT + 10; i++) {
		snprintf(name, sizeof(name), "%d", i);
		write_bytes(name, t.large, CREW__FILE_IN_MEMORY);
		have(name);
	}
	assert_true(t.cache->bytes <= CREW__FILES_BYTES_MOST);
	assert_in_range(t.cache->count, FIT - 20, FIT);
}

/* Few of the descriptors that the process may have. */
static void never_too_many_open(void **state)
{
	char name[32];
	(void)state;
	crew__file_cache_free(t.cache);
	struct rlimit old = limit_descriptors(200);
	t.cache = crew__file_cache_new(t.mime);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(t.cache->open_most, 200 / CREW__FILES_SHARE);
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_bytes(name, t.large, CREW__FILE_IN_MEMORY + 1);
		have(name);
	}
	assert_int_equal(t.cache->open, 200 / CREW__FILES_SHARE);
	assert_int_equal(t.cache->count, 200 / CREW__FILES_SHARE);
}

/* A path with all its siblings finds room, however little there is. */
static void room_for_one_at_least(void **state)
{
	(void)state;
	crew__file_cache_free(t.cache);
	struct rlimit old = limit_descriptors(10);
	t.cache = crew__file_cache_new(t.mime);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	static const char *const names[] = { "a", "a.gz", "a.br", "b", "b.gz", "b.br" };
	for (size_t i = 0; i < crew__lengthof(names); i++)
		write_bytes(names[i], t.large, CREW__FILE_IN_MEMORY + 1);
	assert_non_null(have("a")->forms[CREW__FORM_BROTLI]);
	assert_non_null(have("b")->forms[CREW__FORM_BROTLI]);
	assert_int_equal(t.cache->count, 3);
}

/* What has gone from the cache lives as long as somebody sends it. */
static void references_outlive_the_cache(void **state)
{
	(void)state;
	write_file("a", "one");
	struct crew__file *file = crew__file_ref(have("a")->forms[CREW__FORM_PLAIN]);
	crew__file_cache_free(t.cache);
	t.cache = NULL;
	assert_body(file, "one");
	crew__file_unref(file);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;
	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void no_descriptor_is_lost(void **state)
{
	(void)state;
	write_file("short", "x");
	write_bytes("long", t.large, CREW__FILE_IN_MEMORY + 1);
	assert_int_equal(mkfifo(full("fifo"), 0644), 0);
	unsigned before = open_descriptors();
	for (int i = 0; i < 5; i++) {
		have("short");
		have("long");
		fails("nothing");
		fails("fifo");
		write_bytes("long", t.large, CREW__FILE_IN_MEMORY + 1);
		time_passes();
	}
	assert_int_equal(open_descriptors(), before + 1);
	assert_int_equal(unlink(full("long")), 0);
	time_passes();
	fails("long");
	assert_int_equal(open_descriptors(), before);
}

/* Without descriptors, what is known goes on; what is not is said to be our own trouble. */
static void without_descriptors(void **state)
{
	(void)state;
	write_file("known", "x");
	write_file("unknown", "x");
	age();
	have("known");
	struct rlimit old = limit_descriptors(3);
	time_passes();
	assert_body(plain("known"), "x");
	int error = fails("unknown");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(error, -EMFILE);
	assert_true(crew__file_error_is_ours(error));
	assert_false(crew__file_error_is_ours(-ENOENT));
	assert_body(plain("unknown"), "x");
}

static void nothing_at_all(void **state)
{
	(void)state;
	crew__file_cache_free(NULL);
	crew__file_unref(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)
	const struct CMUnitTest tests[] = {
		TEST(a_short_file_is_in_memory),
		TEST(an_empty_file),
		TEST(a_long_file_is_open),
		TEST(what_is_no_file),
		TEST(two_roots_are_two),
		TEST(within_a_second_nothing_is_looked_at),
		TEST(what_did_not_change_stays),
		TEST(another_content_is_seen),
		TEST(a_change_that_hides),
		TEST(another_file_in_its_place),
		TEST(moved_out_and_linked_to),
		TEST(rights_are_looked_at_again),
		TEST(a_young_file_is_read_again),
		TEST(a_file_from_the_future),
		TEST(a_change_of_a_long_file_is_seen_at_once),
		TEST(siblings),
		TEST(siblings_come_and_go),
		TEST(a_sibling_alone_is_nothing),
		TEST(a_stale_sibling_is_not_used),
		TEST(what_is_no_sibling),
		TEST(never_too_many),
		TEST(never_too_large),
		TEST(never_too_many_open),
		TEST(room_for_one_at_least),
		TEST(references_outlive_the_cache),
		TEST(no_descriptor_is_lost),
		TEST(without_descriptors),
		TEST(nothing_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
