/* test_tls_files.c - files of TLS: their lists, whether they have changed, and as one piece of
 * memory that may come from anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/tls.h"
#include "service/tls_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[64];

static int begin(void **state)
{
	(void)state;
	strcpy(place, "/tmp/crew-test-tls-XXXXXX");
	return mkdtemp(place) ? 0 : -1;
}

static const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", place, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *out = fopen(path_of(name), "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static int end(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "ca", "endless" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(names); i++)
		unlink(path_of(names[i]));
	return rmdir(place);
}

static char certs[512], keys[512], answers[512], authorities[256];

static struct crew__service_settings settings_with(bool ocsp, bool ca)
{
	snprintf(certs, sizeof(certs), "%s %s", path_of("a"), path_of("b"));
	snprintf(keys, sizeof(keys), "%s\t %s", path_of("c"), path_of("d"));
	snprintf(answers, sizeof(answers), "- %s", path_of("a"));
	snprintf(authorities, sizeof(authorities), "%s", path_of("ca"));
	put("a", "first certificate");
	put("b", "");
	put("c", "first key");
	put("d", "second key");
	put("ca", "authority");
	return (struct crew__service_settings){ .tls_cert = certs,
		.tls_key = keys,
		.tls_ocsp = ocsp ? answers : NULL,
		.tls_client_ca = ca ? authorities : NULL };
}

static void lists_are_cut_at_blanks(void **state)
{
	(void)state;
	char word[CREW__TLS_PATH_MOST];
	const char *list = "  /a\t/b  c ";
	assert_true(crew__tls_next_path(&list, word));
	assert_string_equal(word, "/a");
	assert_true(crew__tls_next_path(&list, word));
	assert_string_equal(word, "/b");
	assert_true(crew__tls_next_path(&list, word));
	assert_string_equal(word, "c");
	assert_false(crew__tls_next_path(&list, word));
	assert_int_equal(crew__tls_count_paths(NULL), 0);
	assert_int_equal(crew__tls_count_paths("  "), 0);
	assert_int_equal(crew__tls_count_paths("a b - c"), 4);
	char *endless = malloc(CREW__TLS_PATH_MOST + 1);
	memset(endless, 'x', CREW__TLS_PATH_MOST);
	endless[CREW__TLS_PATH_MOST] = '\0';
	assert_int_equal(crew__tls_count_paths(endless), 0);
	free(endless);
}

static void assert_bytes(crew_bytes bytes, const char *text)
{
	assert_int_equal(bytes.len, strlen(text));
	if (bytes.len > 0)
		assert_memory_equal(bytes.data, text, bytes.len);
}

static void what_was_read_is_taken_apart(void **state)
{
	(void)state;
	char error[512];
	int fd;
	struct crew__tls_files files;
	const struct crew__service_settings settings = settings_with(true, true);
	assert_int_equal(crew__tls_files_read(&settings, &fd, error, sizeof(error)), 0);
	assert_int_equal(crew__tls_files_open(fd, &files), 0);
	assert_int_equal(files.count, 2);
	assert_string_equal(files.pairs[0].name, path_of("a"));
	assert_bytes(files.pairs[0].cert, "first certificate");
	assert_string_equal(files.pairs[0].key_name, path_of("c"));
	assert_bytes(files.pairs[0].key, "first key");
	assert_int_equal(files.pairs[0].ocsp.len, 0);
	assert_bytes(files.pairs[1].cert, "");
	assert_bytes(files.pairs[1].key, "second key");
	assert_bytes(files.pairs[1].ocsp, "first certificate");
	assert_string_equal(files.pairs[1].ocsp_name, path_of("a"));
	assert_bytes(files.client_ca, "authority");
	assert_string_equal(files.client_ca_name, path_of("ca"));
	/* Nobody can change it any more. */
	assert_true(pwrite(fd, "x", 1, 0) < 0);
	assert_true(ftruncate(fd, 0) < 0);
	crew__tls_files_fini(&files);
	crew__tls_files_fini(&files);
	close(fd);
}

static void files_that_cannot_be_read_are_named(void **state)
{
	(void)state;
	char error[512];
	int fd;
	struct crew__service_settings settings = settings_with(false, true);
	unlink(path_of("d"));
	assert_int_equal(crew__tls_files_read(&settings, &fd, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, path_of("d")));
	put("d", "key");
	settings.tls_client_ca = place;
	assert_int_equal(crew__tls_files_read(&settings, &fd, error, sizeof(error)), -EISDIR);
	assert_non_null(strstr(error, "no plain file"));
	/* One that never ends is not waited for. */
	settings.tls_client_ca = (char *)(uintptr_t) "/dev/zero";
	assert_int_equal(crew__tls_files_read(&settings, &fd, error, sizeof(error)), -EISDIR);
	put("endless", "");
	assert_int_equal(truncate(path_of("endless"), 17 << 20), 0);
	settings.tls_client_ca = (char *)(uintptr_t)path_of("endless");
	assert_int_equal(crew__tls_files_read(&settings, &fd, error, sizeof(error)), -EFBIG);
	assert_non_null(strstr(error, "longer than"));
}

/* A sealed piece of memory with these bytes. */
static int memory_of(const char *data, size_t size, bool seal)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, data, size), size);
	if (seal)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static void assert_no_memory_of_ours(const char *data, size_t size, bool seal)
{
	struct crew__tls_files files;
	int fd = memory_of(data, size, seal);
	assert_int_equal(crew__tls_files_open(fd, &files), -EPROTO);
	close(fd);
}

static void other_memory_is_refused(void **state)
{
	(void)state;
	char error[512];
	int fd;
	const struct crew__service_settings settings = settings_with(true, true);
	assert_int_equal(crew__tls_files_read(&settings, &fd, error, sizeof(error)), 0);
	struct stat st;
	fstat(fd, &st);
	size_t size = (size_t)st.st_size;
	char *good = malloc(size + 1);
	assert_int_equal(pread(fd, good, size, 0), size);
	assert_no_memory_of_ours(good, size, false);
	assert_no_memory_of_ours("", 0, true);
	for (size_t length = 1; length < size; length++)
		assert_no_memory_of_ours(good, length, true);
	good[size] = 'x';
	assert_no_memory_of_ours(good, size + 1, true);
	/* Any byte of it may be any other: nothing is read beyond its end. */
	for (size_t i = 0; i < size; i++) {
		struct crew__tls_files files;
		char was = good[i];
		good[i] = (char)(was ^ 0x81);
		int turned = memory_of(good, size, true);
		if (crew__tls_files_open(turned, &files) == 0)
			crew__tls_files_fini(&files);
		close(turned);
		good[i] = was;
	}
	free(good);
	close(fd);
	struct crew__tls_files files;
	assert_true(crew__tls_files_open(-1, &files) < 0);
}

static void changes_count_once_they_have_settled(void **state)
{
	(void)state;
	struct crew__tls_watch watch;
	const struct crew__service_settings settings = settings_with(false, true);
	crew__tls_watch_begin(&watch, &settings);
	assert_false(crew__tls_watch_look(&watch, &settings));
	put("a", "another certificate");
	assert_false(crew__tls_watch_look(&watch, &settings));
	put("c", "its key, a moment later");
	assert_false(crew__tls_watch_look(&watch, &settings));
	assert_true(crew__tls_watch_look(&watch, &settings));
	assert_false(crew__tls_watch_look(&watch, &settings));
	/* One that has gone is a change, and so is its coming back as another file. */
	unlink(path_of("ca"));
	assert_false(crew__tls_watch_look(&watch, &settings));
	assert_true(crew__tls_watch_look(&watch, &settings));
	put("ca", "authority");
	assert_false(crew__tls_watch_look(&watch, &settings));
	assert_true(crew__tls_watch_look(&watch, &settings));
	assert_false(crew__tls_watch_look(&watch, &settings));
}

static void secrets_keep_step_with_time(void **state)
{
	(void)state;
	struct crew__tls_secret secret, copy, old;
	assert_int_equal(crew__tls_secret_new(&secret), 0);
	assert_int_equal(secret.epoch, crew__tls_epoch() - 1);
	copy = secret;
	crew__tls_secret_advance(&copy);
	assert_memory_equal(copy.bytes, secret.bytes, sizeof(secret.bytes));
	/* As if it had been made two epochs sooner. */
	old = secret;
	old.epoch -= 2;
	crew__tls_secret_advance(&old);
	assert_int_equal(old.epoch, secret.epoch);
	crew__tls_secret_step(copy.bytes);
	crew__tls_secret_step(copy.bytes);
	assert_memory_equal(old.bytes, copy.bytes, sizeof(copy.bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_cut_at_blanks),
		cmocka_unit_test(what_was_read_is_taken_apart),
		cmocka_unit_test(files_that_cannot_be_read_are_named),
		cmocka_unit_test(other_memory_is_refused),
		cmocka_unit_test(changes_count_once_they_have_settled),
		cmocka_unit_test(secrets_keep_step_with_time),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
