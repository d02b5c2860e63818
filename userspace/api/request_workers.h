// The threads that work out answers, while one other thread (api/connections.h) does all reading and writing.
// Ownership: owns its threads; destroying it waits for those that are at work. Threading: submit(), collect() and
// drop_waiting() on one thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/http_exchange.h"
#include "base/small_file.h"

namespace centipede::api {

struct WholeRequest {
  uint64_t connection = 0;
  SecretText bytes;
  size_t head_size = 0;
};
struct FinishedAnswer {
  uint64_t connection = 0;
  HttpAnswer answer;
};

class RequestWorkers {
 public:
  // `finished_event`: an eventfd that is written to when there is something to collect.
  RequestWorkers(const Router& router, ApiCounters& counters, bool may_change, unsigned threads, int finished_event);
  RequestWorkers(const RequestWorkers&) = delete;
  RequestWorkers& operator=(const RequestWorkers&) = delete;
  ~RequestWorkers();

  void submit(WholeRequest request);
  [[nodiscard]] std::vector<FinishedAnswer> collect();
  // The connections whose requests no thread has begun; they will not be answered.
  [[nodiscard]] std::vector<uint64_t> drop_waiting();

 private:
  void work();

  const Router& router_;
  ApiCounters& counters_;
  const bool may_change_;
  const int finished_event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<WholeRequest> waiting_;
  std::vector<FinishedAnswer> finished_;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace centipede::api
