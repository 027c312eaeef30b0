/* libfaketime knows POSIX' timed waits, not C11's, which librdkafka uses: with a clock set back each of them ends at once, and a
 * thread that waits spins; set forward, it sleeps for as long as the clock is ahead. A host whose clock is set has neither. */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    int error = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}
