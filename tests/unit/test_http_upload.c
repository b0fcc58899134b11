/* test_http_upload.c - files that came in forms: kept with their request, saved under a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "form_ways.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int clean_up(void **state)
{
	return form_clean_up(state);
}

/* ---- kept ----------------------------------------------------------------------------------- */

static void a_kept_request_has_its_files(void **state)
{
	form_open(state, keep_it);
	assert_int_equal(post(mixed), 204);
	look_at_parts(NULL, t.kept);
	crew_request_free(t.kept);
	assert_int_equal(post_file(100000), 204);
	assert_int_equal(descriptors(), t.descriptors + 1);
	look_at_long(NULL, t.kept);
	crew_request_free(t.kept);
	assert_int_equal(descriptors(), t.descriptors);
}

static void a_copy_of_a_kept_one_has_its_own(void **state)
{
	form_open(state, keep_it);
	assert_int_equal(post(mixed), 204);
	crew_request *copy = crew_request_keep(t.kept);
	assert_non_null(copy);
	crew_request_free(t.kept);
	look_at_parts(NULL, copy);
	crew_request_free(copy);
	assert_int_equal(post_file(100000), 204);
	copy = crew_request_keep(t.kept);
	assert_non_null(copy);
	assert_int_equal(descriptors(), t.descriptors + 2);
	look_at_long(NULL, copy);
	look_at_long(NULL, t.kept); /* with an offset of its own */
	crew_request_free(t.kept);
	crew_request_free(copy);
	assert_int_equal(descriptors(), t.descriptors);
}

static void a_kept_form_is_a_form(void **state)
{
	form_open(state, keep_it);
	assert_int_equal(ask(POST("application/x-www-form-urlencoded", "9", "a=1&b=x+y")), 204);
	assert_true(is(crew_request_form(t.kept, "a"), "1"));
	assert_true(is(crew_request_form(t.kept, "b"), "x y"));
	crew_request_free(t.kept);
}

/* ---- saving --------------------------------------------------------------------------------- */

static const char *path_of(const char *name)
{
	static char path[200];
	snprintf(path, sizeof(path), "%s/%s", t.directory, name);
	return path;
}

static void assert_saved(const char *name, size_t len)
{
	int fd = open(path_of(name), O_RDONLY);
	struct stat about;
	assert_true(fd >= 0);
	assert_file_filled(fd, len);
	assert_int_equal(fstat(fd, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0640); /* of the umask below */
	close(fd);
	assert_int_equal(unlink(path_of(name)), 0);
}

static void save_it(crew_conn *c, const crew_request *r)
{
	const crew_upload *file = crew_request_file(r, "f");
	(void)c;
	assert_int_equal(crew_upload_save(file, path_of("saved")), 0);
	assert_int_equal(crew_upload_save(file, path_of("saved")), -EEXIST);
	assert_int_equal(crew_upload_save(file, path_of("again")), 0);
	assert_int_equal(symlink("nowhere", path_of("link")), 0);
	assert_int_equal(crew_upload_save(file, path_of("link")), -EEXIST);
	assert_int_equal(unlink(path_of("link")), 0);
	assert_int_equal(crew_upload_save(file, path_of("no/where")), -ENOENT);
	assert_int_equal(crew_upload_save(file, t.directory), -EEXIST);
	assert_int_equal(crew_upload_save(file, ""), -EINVAL);
	assert_int_equal(crew_upload_save(file, NULL), -EINVAL);
	assert_int_equal(crew_upload_save(NULL, path_of("x")), -EINVAL);
	struct stat one, two;
	assert_int_equal(stat(path_of("saved"), &one), 0);
	assert_int_equal(stat(path_of("again"), &two), 0);
	assert_true(one.st_ino != two.st_ino); /* who changes one does not change the other */
	tell("saved");
}

static void files_are_saved(void **state)
{
	static const size_t sizes[] = { 0, 1, 64 * 1024, 64 * 1024 + 1, 500000 };
	form_open(state, save_it);
	mode_t before = umask(027);
	for (size_t i = 0; i < crew__lengthof(sizes); i++) {
		told_anew();
		assert_int_equal(post_file(sizes[i]), 204);
		assert_string_equal(told(), "saved");
		assert_saved("saved", sizes[i]);
		assert_saved("again", sizes[i]);
	}
	umask(before);
}

/* A file system that is another one: /dev/shm has one of its own. */
static void save_elsewhere(crew_conn *c, const crew_request *r)
{
	char path[100];
	const crew_upload *file = crew_request_file(r, "f");
	(void)c;
	snprintf(path, sizeof(path), "/dev/shm/crew-test-%d", (int)getpid());
	assert_int_equal(crew_upload_save(file, path), 0);
	assert_int_equal(crew_upload_save(file, path), -EEXIST);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_file_filled(fd, file->size);
	close(fd);
	assert_int_equal(unlink(path), 0);
	tell("saved");
}

static void files_are_saved_to_another_file_system(void **state)
{
	form_open(state, save_elsewhere);
	assert_int_equal(post_file(300000), 204);
	assert_string_equal(told(), "saved");
}

/* Files may not be longer than that: as on a full disk, but for who tests. */
static void save_beyond_the_limit(crew_conn *c, const crew_request *r)
{
	struct rlimit before, little;
	const crew_upload *file = crew_request_file(r, "f");
	(void)c;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little = before;
	little.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	char path[100];
	snprintf(path, sizeof(path), "/dev/shm/crew-test-%d", (int)getpid());
	int error = crew_upload_save(file, path);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(error, -EFBIG);
	assert_int_equal(access(path, F_OK), -1);
	tell("refused");
}

static void what_cannot_be_saved_leaves_nothing(void **state)
{
	form_open(state, save_beyond_the_limit);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(post_file(5000), 204);
	assert_int_equal(post_file(100000), 204);
	signal(SIGXFSZ, SIG_DFL);
	assert_string_equal(told(), "refused refused");
}

static void a_full_disk_is_507(void **state)
{
	struct rlimit before, little;
	form_open(state, look_at_long);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	little = before;
	little.rlim_cur = 90000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	int status = post_file(100000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(status, 507);
	assert_string_equal(told(), "");
	assert_int_equal(descriptors() + 1, t.descriptors);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_kept_request_has_its_files),
		ON_BOTH(a_copy_of_a_kept_one_has_its_own),
		ON_BOTH(a_kept_form_is_a_form),
		ON_BOTH(files_are_saved),
		ON_BOTH(files_are_saved_to_another_file_system),
		ON_BOTH(what_cannot_be_saved_leaves_nothing),
		ON_BOTH(a_full_disk_is_507),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
