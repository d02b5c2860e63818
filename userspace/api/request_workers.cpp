#include "api/request_workers.h"

#include <sys/eventfd.h>

#include <string_view>
#include <utility>

namespace centipede::api {

RequestWorkers::RequestWorkers(const Router& router, ApiCounters& counters, bool may_change, unsigned threads,
                               int finished_event)
    : router_(router), counters_(counters), may_change_(may_change), finished_event_(finished_event) {
  for (unsigned i = 0; i < threads; ++i)
    threads_.emplace_back([this] { work(); });
}

RequestWorkers::~RequestWorkers() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_)
    thread.join();
}

void RequestWorkers::submit(WholeRequest request) {
  {
    const std::scoped_lock lock(mutex_);
    waiting_.push_back(std::move(request));
  }
  changed_.notify_one();
}

std::vector<FinishedAnswer> RequestWorkers::collect() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(finished_, {});
}

std::vector<uint64_t> RequestWorkers::drop_waiting() {
  const std::scoped_lock lock(mutex_);
  std::vector<uint64_t> dropped;
  for (const WholeRequest& request : std::exchange(waiting_, {}))
    dropped.push_back(request.connection);
  return dropped;
}

void RequestWorkers::work() {
  HttpExchange exchange(router_, counters_);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
    if (ended_) return;
    const WholeRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    const std::string_view bytes = request.bytes.text();
    FinishedAnswer finished{request.connection, exchange.answer(bytes.substr(0, request.head_size),
                                                                bytes.substr(request.head_size), may_change_)};
    lock.lock();
    finished_.push_back(std::move(finished));
    eventfd_write(finished_event_, 1);
  }
}

}  // namespace centipede::api
