// Pictures as the data tools are given them, and where results go.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/concept.h"
#include "tools/file_changes.h"

namespace lora::tools::internal {

struct InputPicture {
    std::string path;
    std::string root;      // the folder that keeps the undo of changes in place
    std::string folder;    // that it lies in
    std::string relative;  // below a folder of concept folders: "5_mika/001.png"
    std::string caption;   // may not be there
};

// Of pictures, concept folders, and folders above them. Links are left out.
// Errors  kIo: nothing of that name; kData: no picture at all.
[[nodiscard]] std::vector<InputPicture> collect_pictures(const std::vector<std::string>& inputs,
                                                         const std::string& caption_extension);
// Trigger, class and caption that a concept folder names, as the guide reads it; all empty where
// the folder is none.
[[nodiscard]] data::ConceptName concept_of_folder(const std::string& folder);
// The folder that keeps the undo for an input.
[[nodiscard]] std::string root_of(const std::string& input);

// Files to be written, below one or more roots that each keep their undo.
class Outputs {
public:
    // Refuses names that another file has. Errors  kData naming it.
    // Returns whether anything will be written.
    bool create(const std::string& root, const std::string& path, std::string bytes);
    void replace(const std::string& root, const std::string& path, std::string bytes);
    void remove(const std::string& root, const std::string& path);
    // Whether a file of that name is there or planned.
    [[nodiscard]] bool is_taken(const std::string& path) const;
    void commit();
    [[nodiscard]] std::vector<std::string> roots() const;

private:
    StagedChanges& of(const std::string& root);
    std::map<std::string, std::unique_ptr<StagedChanges>> changes_;
    std::set<std::string> planned_;
};

}  // namespace lora::tools::internal
