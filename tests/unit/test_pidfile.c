/* test_pidfile.c - who runs: by the lock, never by the number alone. */
#include "proc/pidfile.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], error[512];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/crew-pidfile-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void path_in_dir(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static void write_file(const char *text)
{
	char path[128];
	path_in_dir(path, sizeof(path), "app.pid");
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* ---- the run directory ---- */

static void run_dir_is_made_with_what_is_above(void **state)
{
	char path[128];
	struct stat st;
	(void)state;
	mode_t before = umask(077);
	path_in_dir(path, sizeof(path), "a/b/c");
	assert_int_equal(crew__run_dir_make(path, error, sizeof(error)), 0);
	assert_int_equal(crew__run_dir_make(path, error, sizeof(error)), 0);
	umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
}

static void run_dir_that_cannot_be(void **state)
{
	char path[128];
	(void)state;
	write_file("no directory");
	path_in_dir(path, sizeof(path), "app.pid");
	assert_int_equal(crew__run_dir_make(path, error, sizeof(error)), -ENOTDIR);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "--run-dir"));
	path_in_dir(path, sizeof(path), "app.pid/below");
	assert_int_equal(crew__run_dir_make(path, error, sizeof(error)), -ENOTDIR);
}

/* ---- one at a time ---- */

static void the_second_is_refused(void **state)
{
	struct crew__pidfile first, second;
	struct crew__running running;
	char path[128], pid[32];
	struct stat st;
	(void)state;
	assert_int_equal(crew__pidfile_read(dir, "app", &running), -ESRCH);
	assert_int_equal(crew__pidfile_lock(dir, "app", &first, error, sizeof(error)), 0);
	assert_int_equal(crew__pidfile_write(&first, 7), 0);
	assert_int_equal(crew__pidfile_lock(dir, "app", &second, error, sizeof(error)), -EBUSY);
	snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	assert_non_null(strstr(error, pid));
	/* Another name is another program. */
	assert_int_equal(crew__pidfile_lock(dir, "other", &second, error, sizeof(error)), 0);
	crew__pidfile_remove(&second);

	assert_int_equal(crew__pidfile_read(dir, "app", &running), 0);
	assert_int_equal(running.pid, getpid());
	assert_int_equal(running.directory_fd, 7);
	assert_int_equal(running.start_time, crew__process_start_time(getpid(), NULL));
	path_in_dir(path, sizeof(path), "app.pid");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);

	crew__pidfile_remove(&first);
	crew__pidfile_remove(&first);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(crew__pidfile_read(dir, "app", &running), -ESRCH);
}

static void while_it_has_not_written_itself_in(void **state)
{
	struct crew__pidfile file, second;
	struct crew__running running;
	(void)state;
	write_file("1\n1\n1\n"); /* what a dead one left */
	assert_int_equal(crew__pidfile_lock(dir, "app", &file, error, sizeof(error)), 0);
	assert_int_equal(crew__pidfile_read(dir, "app", &running), -EAGAIN);
	assert_int_equal(crew__pidfile_lock(dir, "app", &second, error, sizeof(error)), -EBUSY);
	assert_non_null(strstr(error, "started or stopped"));
	crew__pidfile_remove(&file);
}

/* A file that was removed and made anew while one of us waited to lock the old one. */
static void removing_leaves_a_strangers_file_alone(void **state)
{
	struct crew__pidfile file;
	char path[128];
	(void)state;
	assert_int_equal(crew__pidfile_lock(dir, "app", &file, error, sizeof(error)), 0);
	path_in_dir(path, sizeof(path), "app.pid");
	assert_int_equal(unlink(path), 0);
	write_file("somebody else");
	crew__pidfile_remove(&file);
	assert_int_equal(access(path, F_OK), 0);
}

static void places_that_cannot_be_locked(void **state)
{
	struct crew__pidfile file;
	char path[128], target[128];
	(void)state;
	path_in_dir(path, sizeof(path), "app.pid");
	path_in_dir(target, sizeof(target), "target");
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(crew__pidfile_lock(dir, "app", &file, error, sizeof(error)), -ELOOP);
	assert_int_equal(access(target, F_OK), -1);
	assert_int_equal(
		crew__pidfile_lock("/nonexistent", "app", &file, error, sizeof(error)), -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/app.pid"));
}

/* ---- believing ---- */

static void what_a_dead_master_left_runs_nothing(void **state)
{
	struct crew__running running;
	char text[64];
	(void)state;
	/* Even with a pid that lives: the lock is what counts. */
	snprintf(text, sizeof(text), "%d\n%llu\n3\n", (int)getpid(),
		(unsigned long long)crew__process_start_time(getpid(), NULL));
	write_file(text);
	assert_int_equal(crew__pidfile_read(dir, "app", &running), -ESRCH);
	assert_int_equal(crew__pidfile_pidfd(dir, "app", &running), -ESRCH);
}

/* Locked by us; the text is given. */
static int read_locked(const char *text)
{
	struct crew__running running;
	char path[128];
	write_file(text);
	path_in_dir(path, sizeof(path), "app.pid");
	int fd = open(path, O_RDWR);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	int status = crew__pidfile_read(dir, "app", &running);
	close(fd);
	return status;
}

static void a_text_that_names_nobody(void **state)
{
	char text[64];
	(void)state;
	assert_int_equal(read_locked(""), -EAGAIN);
	assert_int_equal(read_locked("garbage\n"), -EAGAIN);
	assert_int_equal(read_locked("-5\n1\n1\n"), -EAGAIN);
	assert_int_equal(read_locked("0\n1\n1\n"), -EAGAIN);
	/* A live pid whose process began at another time: recycled. */
	snprintf(text, sizeof(text), "%d\n%llu\n3\n", (int)getpid(),
		(unsigned long long)crew__process_start_time(getpid(), NULL) + 1);
	assert_int_equal(read_locked(text), -EAGAIN);
	snprintf(text, sizeof(text), "%d\n%llu\n-1\n", (int)getpid(),
		(unsigned long long)crew__process_start_time(getpid(), NULL));
	assert_int_equal(read_locked(text), -EAGAIN);
}

/* A child that holds the file until it is told to go. */
static pid_t start_holder(int *ret_go)
{
	int ready[2], go[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct crew__pidfile file;
		close(go[1]);
		if (crew__pidfile_lock(dir, "app", &file, error, sizeof(error)) < 0 ||
			crew__pidfile_write(&file, 3) < 0 || write(ready[1], "x", 1) != 1 ||
			read(go[0], &byte, 1) < 0)
			_exit(1);
		_exit(0); /* without removing it, as one that is killed */
	}
	close(ready[1]);
	close(go[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_go = go[1];
	return pid;
}

static void the_lock_ends_with_its_holder(void **state)
{
	struct crew__running running;
	struct crew__pidfile file;
	int go;
	(void)state;
	pid_t pid = start_holder(&go);
	int pidfd = crew__pidfile_pidfd(dir, "app", &running);
	assert_true(pidfd >= 0);
	assert_int_equal(running.pid, pid);
	pid_t parent;
	assert_true(crew__process_start_time(pid, &parent) > 0);
	assert_int_equal(parent, getpid());
	close(pidfd);
	assert_int_equal(crew__pidfile_lock(dir, "app", &file, error, sizeof(error)), -EBUSY);
	close(go);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(crew__pidfile_read(dir, "app", &running), -ESRCH);
	assert_int_equal(crew__pidfile_lock(dir, "app", &file, error, sizeof(error)), 0);
	crew__pidfile_remove(&file);
	assert_int_equal(crew__process_start_time(pid, NULL), 0);
}

int main(void)
{
#define IN_A_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		IN_A_DIR(run_dir_is_made_with_what_is_above),
		IN_A_DIR(run_dir_that_cannot_be),
		IN_A_DIR(the_second_is_refused),
		IN_A_DIR(while_it_has_not_written_itself_in),
		IN_A_DIR(removing_leaves_a_strangers_file_alone),
		IN_A_DIR(places_that_cannot_be_locked),
		IN_A_DIR(what_a_dead_master_left_runs_nothing),
		IN_A_DIR(a_text_that_names_nobody),
		IN_A_DIR(the_lock_ends_with_its_holder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
